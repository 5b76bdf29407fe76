//! Probes of pods in this process: over the pods' in-memory network, as a kubelet does over the real one.

use apiserver::env::Env;
use apiserver::net::Target;
use apiserver::serve::{Trust, client_config, connect::connect};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use simcluster::{ProbeKind, Prober};
use std::time::Duration;

/// Asks again this long after a refused connection, doubling: a process that is just starting is ready when it listens.
const FIRST_RETRY: Duration = Duration::from_millis(1);
/// The longest wait between two attempts of one probe.
const LAST_RETRY: Duration = Duration::from_millis(250);

/// Probes over the pods' network.
pub struct NetworkProber {
    /// The network and the clock for certificates.
    pub env: Env,
}

#[async_trait::async_trait]
impl Prober for NetworkProber {
    async fn probe(&self, _: &Pod, pod_ip: &str, container: &Container, _: ProbeKind, probe: &Probe) -> Result<(), String> {
        // Programs in this process are asked over HTTP; commands cannot be run in them, and guests have no sockets.
        let Some(get) = &probe.http_get else { return Ok(()) };
        let program = container.command.iter().flatten().next().map(String::as_str).unwrap_or_default();
        if !program.starts_with("virt-") {
            return Ok(());
        }
        let port = port(&get.port, container).ok_or("the probe's port is unknown")?;
        // Nobody's certificate says a pod's address: a kubelet does not verify it either.
        let config = client_config(&self.env.now, &Trust::Anybody, None).map_err(|error| error.to_string())?;
        let target = Target::Host { host: pod_ip.to_owned(), port };
        let mut wait = FIRST_RETRY;
        // The caller's time limit ends this.
        let stream = loop {
            if let Ok(stream) = connect(&self.env, &target, pod_ip, config.clone()).await {
                break stream;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        };
        get_path(TokioIo::new(stream), get, pod_ip).await
    }
}

async fn get_path<S>(stream: S, get: &HTTPGetAction, host: &str) -> Result<(), String>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(|error| error.to_string())?;
    let serving = tokio::spawn(connection);
    let request = Request::get(get.path.as_deref().unwrap_or("/")).header("Host", host).body(Empty::<bytes::Bytes>::new());
    let answer = sender.send_request(request.map_err(|error| error.to_string())?).await.map_err(|error| error.to_string());
    serving.abort();
    match answer?.status() {
        status if status < StatusCode::BAD_REQUEST => Ok(()),
        status => Err(format!("HTTP probe failed with statuscode: {}", status.as_u16())),
    }
}

fn port(port: &IntOrString, container: &Container) -> Option<u16> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name))?;
            u16::try_from(named.container_port).ok()
        }
    }
}
