//! The specs: every feature, through the real components, on the embedded API server under virtual time.
//!
//! `SPECS_SEED=N` runs them with another seed. One thread, a paused clock: what is seen once is seen always.

#![allow(clippy::print_stdout, reason = "the closing line is what CI counts")]
#![allow(clippy::unused_async, reason = "a step is async whether it waits or not")]

mod access;
mod admission;
mod evacuation;
mod fleet;
mod guarded;
mod guest;
mod instancetypes;
mod objects;
mod storage;
mod subresources;
mod virtctl;
mod vm;
mod vmi;
mod watches;

use cucumber::World as _;
use cucumber::writer::Stats as _;
use ferrovirt_tests::world::SpecWorld;
use futures::FutureExt as _;

fn main() {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime for the specs: {error}");
            std::process::exit(1);
        }
    };
    let features = concat!(env!("CARGO_MANIFEST_DIR"), "/../features");
    let failed = runtime.block_on(async {
        let summary = SpecWorld::cucumber()
            .max_concurrent_scenarios(1)
            .fail_on_skipped()
            .after(|_, _, _, _, world| {
                async move {
                    if let Some(world) = world {
                        world.end().await;
                    }
                }
                .boxed_local()
            })
            .run(features)
            .await;
        let scenarios = summary.scenarios_stats();
        let failed = scenarios.failed + scenarios.skipped + summary.parsing_errors() + summary.hook_errors();
        println!("specs: {} scenarios, {} steps passed", scenarios.passed + scenarios.failed, summary.passed_steps());
        println!("{} passed, {failed} failed", scenarios.passed);
        failed
    });
    std::process::exit(i32::from(failed > 0));
}
