"""What is true: records, series, job state, alerts and summaries. Pure: no I/O, no threads, no clock reads."""
