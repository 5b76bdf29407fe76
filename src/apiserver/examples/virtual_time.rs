//! The server as a tower service on virtual time: an hour of a watch passes in no time, and one seed gives one history.
//!
//! ```text
//! cargo run --example virtual_time
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrovirt_apiserver::env::{Entropy, Env};
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::Unreachable;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use tower::ServiceExt as _;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse()?;
        let clock = tokio::time::Instant::now();
        let now = Arc::new(move || start + jiff::SignedDuration::try_from(clock.elapsed()).unwrap_or_default());
        let env = Env { now, entropy: Entropy::from_seed(7), dialer: Arc::new(Unreachable) };
        let server = ApiServer::builder(env).build()?;

        // Any tower layer can stand in front; the server itself authenticates, here nobody. What may everybody see?
        let request = Request::get("/version").body(Empty::<Bytes>::new())?;
        let answer = server.clone().oneshot(request).await?;
        println!("{}", String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()));

        let user = ferrovirt_apiserver::auth::UserInfo::admin();
        let watch = Request::get("/api/v1/namespaces?watch=1&allowWatchBookmarks=true&timeoutSeconds=3600").body(Empty::<Bytes>::new())?;
        let mut lines = server.client_service_as(user).oneshot(watch).await?.into_body();
        let mut count = 0;
        while let Some(line) = lines.frame().await {
            count += usize::from(line?.is_data());
        }
        println!("{count} lines in {:?} of virtual time", clock.elapsed());
        assert_eq!(clock.elapsed(), Duration::from_hours(1));
        Ok(())
    })
}
