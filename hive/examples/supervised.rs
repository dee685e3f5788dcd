//! Agents that live: one answers questions, one fails at times, one watches what the others do.
//!
//! `cargo run --example supervised`

#![allow(clippy::print_stdout)]

use std::time::Duration;

use queenright::{
    Agent, AgentError, Context, Hive, Next, Op, Spawn, Supervision, Value, View, agent,
};

/// Holds a stock in memory, and writes down how much is left of it.
struct Stock(i64);

impl Agent for Stock {
    fn name(&self) -> &str {
        "stock"
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        view.set("stock/left", self.0)?;
        Ok(Next::Watch)
    }

    fn message(&mut self, wanted: Value, _: &mut Context) -> Result<Value, AgentError> {
        let wanted = wanted.as_int().filter(|wanted| *wanted <= self.0);
        self.0 -= wanted.ok_or_else(|| AgentError::new("there is not that much left"))?;
        Ok(self.0.into())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hive = Hive::builder().name("shop").build()?;
    let supervisor = hive.supervisor(Supervision::default())?;
    let stock = supervisor.spawn("stock", Spawn::default(), || Ok(Stock(10)))?;

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
    println!("shaky: {} ({} restart)", shaky.join(), shaky.stats().restarts);

    let patience = Duration::from_secs(5);
    println!("four are taken: {} left", stock.ask(4, patience)?);
    println!("seven are not: {}", stock.ask(7, patience).unwrap_err());
    supervisor.stop_all();
    println!("written down: {}", hive.snapshot().get("stock/left").ok_or("nothing")?);
    Ok(())
}
