"""What can go wrong in distributed training, and the rules that find it: pure, over job state and node facts."""
