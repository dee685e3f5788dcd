//! Numbers as Prometheus asks for them (feature `prometheus`).
//!
//! [`install`] makes this the recorder of the process, [`Prometheus::serve`] answers `GET /metrics`, and [`Prometheus::render`] is for
//! programs that have a server already. `docs/OBSERVABILITY.md` in the repository has every metric.
//!
//! ```
//! use queenright::{Hive, Op, prometheus};
//!
//! // Before any hive is built, as nothing is counted until then.
//! let metrics = prometheus::install()?;
//! let server = metrics.serve("127.0.0.1:0".parse()?)?;
//! println!("http://{}/metrics", server.address());
//!
//! let hive = Hive::builder().build()?;
//! hive.transact(|view| Ok(view.write("visits", Op::add(1))?))?;
//! assert!(metrics.render().contains("hive_proposals_total{outcome=\"committed\"} 1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::{fmt, io, thread};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use super::server::Server;

/// The upper bounds of the buckets of round durations, in seconds.
const DURATIONS: [f64; 19] = [
    1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1,
    0.2, 0.5, 1.0,
];
/// The same of the sizes of rounds.
const SIZES: [f64; 14] =
    [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];
/// What a histogram was told waits for so long at most until it is put into its buckets, which do not grow.
const UPKEEP: Duration = Duration::from_secs(1);

/// The recorder of this process. A clone is the same.
#[derive(Clone)]
pub struct Prometheus {
    handle: PrometheusHandle,
}

/// Installs the recorder for this process, and a thread that keeps it small for as long as the process lives. Hives that were
/// built before are counted wrongly: install it first.
///
/// # Errors
/// [`PrometheusError::Installed`] when the process has a recorder, this one or another; [`PrometheusError::Thread`] when the
/// system refuses a thread.
pub fn install() -> Result<Prometheus, PrometheusError> {
    let setup = |error: BuildError| PrometheusError::Setup(error.to_string());
    let buckets = |builder: PrometheusBuilder, name: &str, bounds: &[f64]| {
        builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds).map_err(setup)
    };
    let builder = buckets(PrometheusBuilder::new(), "hive_round_duration_seconds", &DURATIONS)?;
    let recorder = buckets(builder, "hive_round_proposals", &SIZES)?.build_recorder();
    let handle = recorder.handle();
    // Started first, as a recorder cannot be taken back. It ends if nothing comes of it.
    let (installed, is_installed) = channel();
    let kept = handle.clone();
    let upkeep = move || {
        if is_installed.recv().is_ok() {
            loop {
                thread::sleep(UPKEEP);
                kept.run_upkeep();
            }
        }
    };
    start("queenright-upkeep", upkeep)?;
    metrics::set_global_recorder(recorder).map_err(|_| PrometheusError::Installed)?;
    let _ = installed.send(());
    Ok(Prometheus { handle })
}

pub(super) fn start(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, PrometheusError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| PrometheusError::Thread(error.to_string()))
}

impl Prometheus {
    /// All metrics of the process in Prometheus' text format, those of others among them.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Answers `GET /metrics` at this address, on a thread of its own, until the server is dropped. Port 0 is any that is free.
    ///
    /// It speaks plain HTTP and asks nobody who they are: give it an address that only those can reach who may know.
    ///
    /// # Errors
    /// [`PrometheusError::Address`] when the address cannot be had; [`PrometheusError::Thread`] when the system refuses a thread.
    pub fn serve(&self, address: SocketAddr) -> Result<Server, PrometheusError> {
        let this = self.clone();
        Server::start(address, move || this.render())
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}

/// Why numbers are not to be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum PrometheusError {
    /// The process has a recorder.
    Installed,
    /// The recorder does not take how it is set up.
    Setup(String),
    /// The address cannot be listened on.
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A thread could not be started.
    Thread(String),
}

impl fmt::Display for PrometheusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrometheusError::Installed => f.write_str(
                "this process has a recorder of metrics, and can have but one: install this one once, before others, \
                 and keep what `install` returns; or read the hive's metrics from that recorder",
            ),
            PrometheusError::Setup(why) => {
                write!(f, "the recorder of metrics could not be set up: {why}")
            }
            PrometheusError::Address { address, error } => match error.kind() {
                io::ErrorKind::AddrInUse => write!(
                    f,
                    "{address} is taken, so metrics are not served there: choose another port, 0 for any that is free, \
                     or end who has it"
                ),
                _ => write!(
                    f,
                    "metrics cannot be served at {address}: {error}; choose an address of this machine, \
                     and a port that this user may have"
                ),
            },
            PrometheusError::Thread(why) => {
                write!(f, "no thread could be started for metrics: {why}")
            }
        }
    }
}

impl std::error::Error for PrometheusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PrometheusError::Address { error, .. } => Some(error),
            _ => None,
        }
    }
}
