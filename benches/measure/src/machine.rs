//! Which machine this is, and what the system says about the threads that run on it.

use std::fs;
use std::process::Command;
use std::thread;

use crate::row::Machine;

impl Machine {
    /// Describes the machine that the process runs on.
    pub fn describe() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kib = field(&meminfo, "MemTotal")
            .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok());
        let cpu = match (field(&cpuinfo, "model name"), field(&cpuinfo, "model\t")) {
            (Some(name), Some(model)) => format!("{name} (model {model})"),
            (Some(name), None) => name,
            _ => std::env::consts::ARCH.to_owned(),
        };
        Machine {
            cpu,
            cores: cores(),
            memory: kib.unwrap_or(0) * 1024,
            os: output("uname", &["-sr"]).unwrap_or_else(|| std::env::consts::OS.to_owned()),
            hypervisor: output("systemd-detect-virt", &[]).or_else(|| hypervisor(&cpuinfo)),
            rustc: output("rustc", &["--version"]).unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

/// The source in the working directory, as git describes it; `None` outside a repository.
pub fn source() -> Option<String> {
    output("git", &["describe", "--always", "--dirty", "--abbrev=12"])
}

fn hypervisor(cpuinfo: &str) -> Option<String> {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
    let virtual_machine = flags.split_whitespace().any(|flag| flag == "hypervisor");
    Some(if virtual_machine { "yes" } else { "none" }.to_owned())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// How many cores the process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// How often the calling thread was preempted so far; `None` where the system does not tell.
pub(crate) fn preemptions_of_thread() -> Option<i64> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        getrusage(UsageWho::RUSAGE_THREAD).ok().map(|usage| usage.involuntary_context_switches())
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// How often any thread of the process was preempted so far; `None` where the system does not tell.
pub(crate) fn preemptions_of_process() -> Option<i64> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| usage.involuntary_context_switches())
    }
    #[cfg(not(unix))]
    None
}

/// Keeps the calling thread on one core, where the system can do that: two threads that share a core by chance would
/// not measure what they claim to.
pub(crate) fn pin(core: usize) {
    #[cfg(target_os = "linux")]
    {
        use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
        use nix::unistd::Pid;
        let this = Pid::from_raw(0);
        let Ok(allowed) = sched_getaffinity(this) else { return };
        let allowed: Vec<usize> =
            (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false)).collect();
        let mut only = CpuSet::new();
        if !allowed.is_empty() && only.set(allowed[core % allowed.len()]).is_ok() {
            // A refusal leaves the thread where it was, which is what happens elsewhere anyway.
            let _ = sched_setaffinity(this, &only);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = core;
}
