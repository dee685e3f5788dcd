//! Agents that wait for a network, as tasks of a tokio runtime: none of them holds up a thread meanwhile.
//!
//! `cargo run --features tokio --example waiting`

#![allow(clippy::print_stdout)]

use std::net::SocketAddr;

use queenright::{AgentError, AsyncAgent, Hive, Next, Op, Spawn, Supervision, View};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

/// Asks a server for a number, and adds it to the total.
struct Asker(SocketAddr);

impl AsyncAgent for Asker {
    async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        let number = TcpStream::connect(self.0).await?.read_u32().await?;
        view.write("total", Op::add(number.into()))?; // commutes: nobody is run twice for it
        Ok(Next::Done)
    }
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    for number in 1.. {
        listener.accept().await?.0.write_u32(number).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    tokio::spawn(serve(listener));

    let hive = Hive::builder().build()?;
    let supervisor = hive.supervisor(Supervision::default())?;
    let spawn = Spawn::default().on_tokio(Handle::current());
    let mut askers = Vec::new();
    for n in 0..100 {
        let asker = supervisor
            .spawn_async(format!("asker-{n}"), spawn.clone(), move || Ok(Asker(server)))?;
        askers.push(asker);
    }
    for asker in &askers {
        asker.ended().await;
    }
    println!("total: {}", hive.snapshot().get("total").ok_or("nothing")?);
    Ok(())
}
