"""The catalogue: every rule with its numbers, where they come from, and what to do first.

Sources by name: OLMo-core (AllenAI, `callbacks/stability_monitor`), MosaicML Composer (`EarlyStopper`, resumption),
PaLM (Chowdhery et al. 2022, section 5.1), Megatron-LM (`rerun_state_machine`), NVRx (NVIDIA resiliency extension:
straggler detection and `nvrx-watch`), TraceML, torch (`ProcessGroupNCCL`, elastic `ErrorHandler`), torchtitan (memory
metrics), NVML reference (clock event reasons), NVSentinel and Meta GCM (GPU health checks), node-mixin (Prometheus
node exporter alerts), OpenSSH. "ours": proposed here.
"""

from __future__ import annotations

from typing import Final

from ugro_tui.core.alerts import Severity
from ugro_tui.core.rules.rule import Number, Rule, Thresholds

INFO, WARN, CRIT = Severity.INFO, Severity.WARN, Severity.CRIT

_STALL = (
    Number("seconds", 15.0, "seconds without a step, at the least", 1.0),
    Number("intervals", 5.0, "usual intervals between records without a step", 1.0),
)

_ROWS: Final = (
    Rule(
        "non_finite_loss", "non-finite loss", CRIT, "loss, grad_norm",
        "one record that is NaN or infinite", "10 finite records; one, and the end of the job",
        "Megatron-LM: NaN is fatal",
        "stop, resume an earlier checkpoint with a lower learning rate", replayed=True,
        afterwards="relaunch from a checkpoint before that step, with a lower learning rate",
    ),
    Rule(
        "loss_recovered", "loss recovered", INFO, "loss, grad_norm", "a loss that was not finite is finite again",
        "a new attempt", "ours: nobody who looked away should miss it", "keep an eye on the gradient norm",
        replayed=True, afterwards="validate its last checkpoint before you use it",
    ),
    Rule(
        "masked_nan", "masked NaN", CRIT, "loss, grad_norm",
        "one record with a loss of exactly 0 and a gradient norm that is not finite",
        "10 finite records; one, and the end of the job",
        "seen in trainer states of Hugging Face runs",
        "stop, resume an earlier checkpoint, and switch the NaN filter of the logging off", replayed=True,
        afterwards="relaunch from a checkpoint before that step, with the NaN filter of the logging off",
    ),
    Rule(
        "loss_spike", "loss spike", WARN, "loss, mean over the ranks",
        "2 of 3 records above the median of 128 by 6 sigmas (1.4826 MAD), and by 10 % at the least",
        "25 records in a row below half of that", "OLMo-core: window 128, 6 sigma; 2 of 3: ours",
        "watch it, and keep the last checkpoint", (
            Number("sigmas", 6.0, "sigmas above the median", 1.0),
            Number("least", 0.10, "share of the median, at the least"),
            Number("records", 25, "records in a row that clear it", 1),
        ), replayed=True, afterwards="see whether its loss came back before you use its last checkpoint",
    ),
    Rule(
        "divergence", "divergence", CRIT, "loss, mean over the ranks",
        "a spike after which the loss is still above 1.10 of what it was 100 steps later", "loss below 1.10 of that",
        "MosaicML Composer; what to do: PaLM", "restart about 100 steps before it and skip those batches", (
            Number("steps", 100, "steps after the spike", 1),
            Number("factor", 1.10, "times the loss before the spike", 1.0),
        ), replayed=True, afterwards="relaunch from a checkpoint about 100 steps before it, and skip those batches",
    ),
    Rule(
        "plateau", "plateau", INFO, "loss, mean over the ranks",
        "the 95 % interval of the slope over 20 % of the planned steps includes 0", "it does not", "ours",
        "look at the learning rate and the data", (Number("share", 0.20, "share of the planned steps", 0.01, 1),),
        replayed=True, on=False,
    ),
    Rule(
        "gradient_explosion", "gradient explosion", WARN, "grad_norm, highest of the ranks",
        "above 10 times the highest so far, or 2 of 3 records above the median of 128 by 6 sigmas",
        "25 records in a row below half of that", "Megatron-LM (10 x); 6 sigma as for the loss",
        "lower the learning rate, clip gradients", (
            Number("factor", 10.0, "times the highest so far", 1.0),
            Number("sigmas", 6.0, "sigmas above the median", 1.0),
            Number("records", 25, "records in a row that clear it", 1),
        ), replayed=True,
    ),
    Rule(
        "gradient_vanish", "gradient vanish", WARN, "grad_norm, highest of the ranks",
        "below a thousandth of the median of 128 for 50 steps", "two records in a row above", "ours",
        "look for frozen layers and at the loss scale", (
            Number("share", 1e-3, "share of the median", 0, 1),
            Number("steps", 50, "steps below it", 1),
        ), replayed=True,
    ),
    Rule(
        "overflow_storm", "overflow storm", WARN, "metrics.skipped",
        "more than 5 % of 200 steps skipped", "2.5 % or less", "ours",
        "use bf16, or lower the learning rate", (
            Number("share", 0.05, "share of the steps", 0, 1),
            Number("steps", 200, "steps looked at", 1),
        ), replayed=True,
    ),
    Rule(
        "throughput_drop", "throughput drop", WARN, "throughput, sum over the ranks",
        "below 80 % of its own median for 20 steps", "two records in a row above 90 %", "NVRx: individual score 0.75",
        "look for stragglers, and at the input pipeline", (
            Number("threshold", 0.80, "share of the median", 0, 1),
            Number("clear", 0.90, "share of the median that clears it", 0, 1),
            Number("steps", 20, "steps below it", 1),
        ), replayed=True,
    ),
    Rule(
        "straggler", "straggler", WARN, "phases",
        "own work (all but waiting) longer than the best rank's / 0.75, robust z above 3.5 (of 4 ranks or more), and "
        "the others wait for it a tenth of the step at the least: in 3 of 5 records, in their mean, and for 5 s",
        "score above 0.85, or the others wait for it less than half of that",
        "NVRx 0.75; TraceML: a phase is named if it explains 80 %; a tenth: ours",
        "look at that rank's node", (
            Number("threshold", 0.75, "the best rank's own work as a share of its own", 0, 1),
            Number("clear", 0.85, "share that clears it", 0, 1),
            Number("sigmas", 3.5, "robust z (0.6745 x distance / MAD)", 0.1),
            Number("records", 3, "of the last 5 records", 1),
            Number("explains", 0.80, "share of the wait that a phase must explain to be named", 0, 1),
            Number("cost", 0.10, "share of the step that the others wait for it, at the least", 0, 1),
        ), replayed=True,
    ),
    Rule(
        "finished", "finished", INFO, "end records, launcher", "the job ended well", "never: told once",
        "people ask for it everywhere", "see its summary", replayed=True,
    ),
    Rule(
        "failed", "failed", CRIT, "end records, launcher", "the job ended in failure", "never: told once",
        "people ask for it everywhere", "read why, mend it, relaunch", replayed=True,
    ),
    Rule(
        "desync", "desync", WARN, "step of each rank",
        "ranks 3 records apart (2 steps at the least), for longer than 2 intervals between records", "less", "ours",
        "compare what the ranks do (flight recorder)", (Number("records", 3, "records between the ranks", 1),),
    ),
    Rule(
        "rank_stalled", "rank stalled", CRIT, "last step by the node's clock",
        "no step for 15 s, or 5 times the usual interval of records; or no heartbeat for 15 s",
        "a step; paused in declared evaluations and checkpoints", "NVRx: safety factor 5",
        "look at its stack (py-spy) and its log", _STALL, replayed=True,
    ),
    Rule(
        "job_hang", "hung", CRIT, "last step of all ranks", "all ranks stalled, by the numbers of rank_stalled",
        "a step", "torch waits 600 s for NCCL: be 20 times sooner", "take the stacks of all ranks, restart",
        replayed=True,
    ),
    Rule(
        "rank_error", "rank error", CRIT, "end records, torch elastic error files",
        "a rank ended in failure; the earliest is the root cause", "a new attempt", "torch ErrorHandler",
        "read its traceback", replayed=True,
    ),
    Rule(
        "died_silently", "died silently", CRIT, "process, heartbeat",
        "the process is gone (its node says so, or 60 s without a heartbeat) and left neither end nor error",
        "a new attempt", "torch; -9 with an OOM kill: out of memory, -11 segmentation fault, -6 abort",
        "look at the kernel's log (dmesg) and the end of its log",
    ),
    Rule(
        "launch_failed", "launch failed", CRIT, "job.json: what the launcher found",
        "the job has failed, and no rank is known to have: as a rule none had begun", "a new attempt",
        "ours: a start that failed is no less wrong than a crash", "mend that, and launch it again",
    ),
    Rule(
        "launcher_gone", "launcher gone", WARN, "job.json: what the supervisor of torchrun found",
        "torchrun has ended and its ranks go on", "they have ended", "ours: after an OOM kill of the agent",
        "let it train, or stop it (`ugro-tui stop JOB`): nothing restarts it or ends it when a rank fails",
    ),
    Rule(
        "restart_loop", "restart loop", CRIT, "start records",
        "5 starts in 30 minutes, or 3 in a row without progress", "progress and fewer starts", "nvrx-watch",
        "stop it and mend the cause of the first failure", (
            Number("starts", 5, "starts", 2),
            Number("minutes", 30.0, "minutes in which they lie", 1.0),
            Number("idle", 3, "starts in a row without progress", 2),
        ), replayed=True, afterwards="mend the cause of the first failure, then relaunch",
    ),
    Rule(
        "gpu_memory_trend", "GPU memory trend", WARN, "gpu.mem_used / mem_total",
        "above 95 % and rising over the last two minutes", "93 % or less, or no longer rising", "torchtitan",
        "make batches smaller; PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True",
        (Number("threshold", 0.95, "share of the memory", 0, 1),),
    ),
    Rule(
        "host_memory_leak", "host memory leak", WARN, "rss of the rank's process",
        "at its slope (resistant line over 30 minutes or more) it fills 95 % of the RAM within 4 hours",
        "it does not", "node-mixin", "look at DataLoader workers and at what is kept between steps", (
            Number("share", 0.95, "share of the RAM", 0, 1),
            Number("hours", 4.0, "hours ahead", 0.1),
            Number("minutes", 30.0, "minutes of data, at the least", 1.0),
        ),
    ),
    Rule(
        "gpu_underused", "GPU under-used", WARN, "gpu.util",
        "mean below 80 % over 60 s", "above 85 %; off in declared evaluations and checkpoints",
        "the first dashboard of this project (79.8 % < 80 %)", "look at the input pipeline", (
            Number("threshold", 80.0, "percent", 0, 100),
            Number("clear", 85.0, "percent that clears it", 0, 100),
            Number("seconds", 60.0, "seconds of the mean", 10.0),
        ),
    ),
    Rule(
        "thermal_throttle", "thermal throttle", WARN, "gpu.throttle: sw_thermal, hw_thermal, hw_slowdown",
        "2 samples in a row", "one without", "NVML reference; hardware reasons are critical", "look at the cooling",
        (Number("samples", 2, "samples in a row", 1),),
    ),
    Rule(
        "power_brake", "power brake", CRIT, "gpu.throttle: hw_power_brake",
        "2 samples in a row (sw_power_cap is normal)", "one without", "NVML reference", "look at the power supply",
        (Number("samples", 2, "samples in a row", 1),),
    ),
    Rule(
        "temperature", "temperature", WARN, "gpu.temp, gpu.temp_slowdown",
        "within 5 degrees of the slowdown, or 85 C where that is not known, for 60 s", "3 degrees less",
        "NVSentinel, Meta GCM", "look at the airflow", (
            Number("celsius", 85.0, "degrees Celsius where the slowdown is not known"),
            Number("margin", 5.0, "degrees below the slowdown"),
            Number("seconds", 60.0, "seconds", 1.0),
        ),
    ),
    Rule(
        "ecc", "ECC errors", CRIT, "gpu.ecc, gpu.remap_failed",
        "the count of uncorrected errors grew, or remapping rows failed", "a new attempt", "Meta GCM",
        "drain the node, then reset or replace the GPU",
    ),
    Rule(
        "gpu_lost", "GPU lost", CRIT, "NVML GpuIsLost, GPUs of the node",
        "NVML says so, or the node has fewer GPUs than before", "it is back", "Meta GCM", "reboot the node",
    ),
    Rule(
        "disk_filling", "disk filling", WARN, "disk_free of heartbeats and nodes, central directory",
        "below 15 % and full within 4 hours; critical below 5 %", "above 15 %, or not full in 8 hours", "node-mixin",
        "remove old checkpoints and logs", (
            Number("warn", 0.15, "share that is free", 0, 1),
            Number("crit", 0.05, "share that is free: critical", 0, 1),
            Number("hours", 4.0, "hours until it is full", 0.1),
        ),
    ),
    Rule(
        "clock_skew", "clock skew", WARN, "the node's time at the middle of a round trip, minus ours",
        "more than 2 s for 2 minutes", "2 s or less", "ours", "have NTP (chrony) set its clock", (
            Number("seconds", 2.0, "seconds"),
            Number("minutes", 2.0, "minutes"),
        ),
    ),
    Rule(
        "node_unreachable", "node unreachable", CRIT, "looks at the node",
        "3 in a row without an answer", "an answer", "Prometheus: up", "look at its network and its sshd",
    ),
    Rule(
        "auth_refused", "auth refused", CRIT, "SSH login", "refused once; not tried again by itself", "a login",
        "ours: automatic retries lock accounts", "`ugro-tui doctor` says what to do; then press r",
    ),
    Rule(
        "host_key_changed", "host key changed", CRIT, "SSH host key",
        "it is not the one in known_hosts", "a person has mended it", "OpenSSH",
        "verify the key by other means; `ugro-tui doctor` says what to do; then press r",
    ),
    Rule(
        "sync_behind", "sync behind", WARN, "bytes on the node that were not copied yet",
        "some in more than 3 looks in a row", "none", "ours", "look at the bandwidth of the link",
        (Number("looks", 3, "looks in a row", 1),),
    ),
    Rule(
        "mirror_quarantined", "mirror quarantined", CRIT, "digest of what was copied",
        "a metrics file was replaced by one that does not begin as a run does; the old copy is kept apart",
        "told until the job is opened anew",
        "Vector, Filebeat: fingerprints", "see generations/ in the central directory; look who rewrites the file",
    ),
    Rule(
        "lines_skipped", "lines skipped", INFO, "lines that are no record, gaps in seq",
        "one; a warning above 1 % of all, and 10", "never in this attempt", "W&B",
        "look at the emitter's version and disk",
        (Number("warn", 0.01, "share of the records: a warning", 0, 1),), replayed=True,
    ),
    Rule(
        "monitor_blind", "monitor blind", CRIT, "the looks of this application itself",
        "3 missed in a row", "a look", "nvrx-watch", "restart ugro-tui; its log says why",
        (Number("cycles", 3, "looks missed in a row", 1),),
    ),
)  # fmt: skip

RULES: Final = {rule.key: rule for rule in _ROWS}
"""Every rule by key, in the order of the catalogue."""

DEFAULTS: Final = Thresholds(RULES)
