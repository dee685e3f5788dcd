//! The server that answers as Prometheus asks, and the recorder that there is once.
#![cfg(feature = "prometheus")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use queenright::prometheus::{self, Prometheus, PrometheusError};
use queenright::{Hive, Op};

/// Far more than anything here takes: what waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

fn recorder() -> &'static Prometheus {
    static RECORDER: OnceLock<Prometheus> = OnceLock::new();
    RECORDER.get_or_init(|| prometheus::install().unwrap())
}

#[test]
fn there_is_one_recorder() {
    recorder();
    let error = prometheus::install().unwrap_err();
    assert!(matches!(error, PrometheusError::Installed), "{error}");
    assert!(error.to_string().contains("install this one once"), "{error}");
}

/// What is answered to these bytes, after which nothing more is sent.
fn answer(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // Who is refused half-way may find the other side closed.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

fn served() -> prometheus::Server {
    recorder().serve("127.0.0.1:0".parse().unwrap()).unwrap()
}

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n";

#[test]
fn numbers_are_answered_over_the_network() {
    recorder();
    let hive = Hive::builder().build().unwrap();
    hive.transact(|view| Ok(view.write("n", Op::add(1))?)).unwrap();
    let server = served();
    let response = answer(server.address(), GET);
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    // No other test here has a hive.
    assert!(body.contains("\nhive_proposals_total{outcome=\"committed\"} 1\n"), "{body}");
    let documented = include_str!("../../docs/OBSERVABILITY.md");
    let helps: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
    assert!(helps.len() >= 8, "{helps:?}");
    for help in helps {
        let (name, meaning) = help.split_once(' ').unwrap();
        assert!(meaning.len() > 10 && documented.contains(&format!("`{name}`")), "{help}");
    }
    assert!(
        body.contains("\nhive_agent_restarts_total 0\n"),
        "also before any agent was restarted"
    );
    for bound in ["0.000001", "0.001", "1", "+Inf"] {
        let bucket = format!("hive_round_duration_seconds_bucket{{le=\"{bound}\"}}");
        assert!(body.contains(&bucket), "{bucket} in {body}");
    }
    let response = answer(server.address(), b"HEAD /metrics?all=1 HTTP/1.0\r\n\r\n");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && body.is_empty(), "{response}");
}

#[test]
fn what_is_no_request_for_numbers_is_refused_and_does_no_harm() {
    let server = served();
    let endless = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 100_000]].concat();
    let cases: [(&[u8], &str); 14] = [
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"POST /elsewhere HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"),
        (b"DELETE /metrics HTTP/1.0\r\n\r\n", "405"),
        (b"", "400"),
        (b"\r\n\r\n", "400"),
        (b"GET /metrics\r\n\r\n", "400"),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", "400"),
        (b"GET /metrics HTTP/2.0\r\n\r\n", "400"),
        (b"G\xffT /metrics HTTP/1.1\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
        (b"GET /metrics HTTP/1.1\r\nHost: unfinished", "400"),
        (&[0; 9000], "400"),
        (&endless, "400"),
    ];
    for (request, status) in cases {
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        let response = answer(server.address(), request);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {response}");
    }
    assert!(answer(server.address(), GET).starts_with("HTTP/1.1 200"), "it still answers");
}

#[test]
fn a_head_without_an_end_is_refused_as_soon_as_it_is_too_long() {
    let server = served();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(&[b'x'; 8 << 10]).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 400");
}

#[test]
fn who_says_nothing_is_not_waited_for_for_ever() {
    let server = served();
    let silent = TcpStream::connect(server.address()).unwrap();
    assert!(answer(server.address(), GET).starts_with("HTTP/1.1 200"));
    drop(silent);
}

#[test]
fn a_server_ends_when_it_is_dropped_also_while_somebody_is_connected() {
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        let server = recorder().serve(address.parse().unwrap()).unwrap();
        let port = server.address().port();
        let here = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(answer(here, GET).starts_with("HTTP/1.1 200"));
        let _silent = TcpStream::connect(here).unwrap();
        let began = Instant::now();
        drop(server);
        assert!(began.elapsed() < LONG);
        let refused = TcpStream::connect(here).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = recorder().serve(address).unwrap_err();
    assert!(matches!(error, PrometheusError::Address { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains(&address.to_string()) && told.contains("choose another port"), "{told}");
    let elsewhere = recorder().serve("192.0.2.1:0".parse().unwrap()).unwrap_err().to_string();
    assert!(elsewhere.contains("192.0.2.1:0") && elsewhere.contains("this machine"), "{elsewhere}");
}
