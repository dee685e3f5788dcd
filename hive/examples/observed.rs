//! A hive that is watched: numbers for Prometheus, and what goes wrong on standard error.
//!
//! `cargo run --features prometheus,tracing --example observed`

#![allow(clippy::print_stdout)]

use std::io::{Read, Write};
use std::net::TcpStream;

use queenright::{AgentError, Hive, Next, Op, Spawn, Supervision, View, agent, prometheus};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the hive is built, so that nothing is missed. With `DEBUG` each answer is a span.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .init();
    let server = prometheus::install()?.serve("127.0.0.1:0".parse()?)?;

    let hive = Hive::builder().name("watched").build()?;
    hive.spawn_all((0..50).map(|n| {
        agent(format!("agent-{n}"), |view: &mut View| {
            let count = view.get("count")?.and_then(|count| count.as_int()).unwrap_or(0);
            view.set("count", count + 1)?;
            Ok(Next::Done)
        })
    }))?;
    hive.run_until_settled(100)?;

    let supervisor = hive.supervisor(Supervision::default())?;
    let mut lives = 0;
    let shaky = supervisor.spawn("shaky", Spawn::default(), move || {
        lives += 1;
        let life = lives;
        Ok(agent("shaky", move |view: &mut View| {
            if life == 1 {
                return Err(AgentError::new("out of paper"));
            }
            view.write("receipts", Op::add(1))?;
            Ok(Next::Done)
        }))
    })?;
    shaky.join();

    // As Prometheus would ask.
    let mut stream = TcpStream::connect(server.address())?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let is_shown = |line: &&str| line.starts_with("hive_") && !line.contains("_bucket");
    response.lines().filter(is_shown).for_each(|line| println!("{line}"));
    Ok(())
}
