//! A server for one page. Blocking and for one connection at a time, so that it needs nothing but the standard library.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::prometheus::{PrometheusError, start};
use crate::lock::lock;

/// How long a connection may take, from its first byte to the last.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long bytes that nobody asked for are taken after the answer, and how many: closing earlier would take the answer back.
const LINGER: Duration = Duration::from_millis(200);
const LINGER_BYTES: usize = 64 << 10;
/// The most that a request's head may have.
const MOST_BYTES: usize = 8 << 10;
/// After the system refuses a connection, such as for want of file descriptors, it is asked again this much later.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers `GET /metrics` until it is dropped, which waits for its thread. Made by
/// [`Prometheus::serve`](super::prometheus::Prometheus::serve).
///
/// One connection at a time is answered, each within two seconds.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// The connection that is being answered.
    current: Mutex<Option<TcpStream>>,
}

impl Server {
    pub(super) fn start(
        address: SocketAddr,
        page: impl Fn() -> String + Send + 'static,
    ) -> Result<Self, PrometheusError> {
        let failed = |error| PrometheusError::Address { address, error };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let thread = start("queenright-metrics", move || theirs.run(&listener, &page))?;
        Ok(Server { shared, address: bound, thread: Some(thread) })
    }

    /// Where it listens, with the port that was found if it was to be any.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(stream) = lock(&self.shared.current).as_ref() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        // One last connection, as the thread waits for one. If there is no room for it, others wake the thread.
        let woken = TcpStream::connect_timeout(&address, PATIENCE);
        if let Some(thread) = self.thread.take()
            && (woken.is_ok() || thread.is_finished())
        {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn run(&self, listener: &TcpListener, page: &impl Fn() -> String) {
        loop {
            let accepted = listener.accept();
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((stream, _)) => {
                    *lock(&self.current) = stream.try_clone().ok();
                    // Looked at once more: who ends it saw no connection, or closes this one.
                    if !self.is_over.load(Ordering::SeqCst) {
                        // Who asked has gone, or is too slow: nobody is left to be told.
                        let _ = answer(stream, page);
                    }
                    *lock(&self.current) = None;
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// What was asked for, as far as it matters.
enum Request {
    Page { with_body: bool },
    Elsewhere,
    OtherMethod,
    Garbage,
}

fn answer(mut stream: TcpStream, page: &impl Fn() -> String) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let request = match read_head(&mut stream, deadline)? {
        Some(head) => parse(&head),
        None => Request::Garbage,
    };
    let (status, body) = match request {
        Request::Page { .. } => ("200 OK", page()),
        Request::Elsewhere => ("404 Not Found", "there is only /metrics\n".to_owned()),
        Request::OtherMethod => ("405 Method Not Allowed", "only GET and HEAD\n".to_owned()),
        Request::Garbage => ("400 Bad Request", "this is not HTTP/1\n".to_owned()),
    };
    let allow = if let Request::OtherMethod = request { "Allow: GET, HEAD\r\n" } else { "" };
    let length = body.len();
    let mut response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
    );
    if !matches!(request, Request::Page { with_body: false }) {
        response.push_str(&body);
    }
    write_all(&mut stream, response.as_bytes(), deadline)?;
    stream.shutdown(Shutdown::Write)?;
    linger(&mut stream)
}

/// What is left of the time; an error if nothing is.
fn time_to(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Reads until the head of a request has ended; `None` if it is too long, or the other side stops before that.
fn read_head(stream: &mut TcpStream, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while head.len() < MOST_BYTES {
        // Each time anew, so that nobody holds it by a byte now and then.
        stream.set_read_timeout(Some(time_to(deadline)?))?;
        let read = match stream.read(&mut part) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // The end may have come in two parts.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&part[..read]);
        if head[from..].windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn parse(head: &[u8]) -> Request {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Request::Garbage };
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Request::Garbage;
    };
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_method || !matches!(version, "HTTP/1.0" | "HTTP/1.1") || !target.starts_with('/') {
        return Request::Garbage;
    }
    let path = target.split('?').next().unwrap_or_default();
    match method {
        _ if path != "/metrics" => Request::Elsewhere,
        "GET" => Request::Page { with_body: true },
        "HEAD" => Request::Page { with_body: false },
        _ => Request::OtherMethod,
    }
}

fn write_all(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(time_to(deadline)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes what still comes, until the other side has closed.
fn linger(stream: &mut TcpStream) -> io::Result<()> {
    let deadline = Instant::now() + LINGER;
    let mut part = [0; 4096];
    let mut most = LINGER_BYTES;
    while most > 0 {
        stream.set_read_timeout(Some(time_to(deadline)?))?;
        match stream.read(&mut part)? {
            0 => return Ok(()),
            read => most = most.saturating_sub(read),
        }
    }
    Ok(())
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
