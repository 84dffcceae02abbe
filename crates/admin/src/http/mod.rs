//! Owns the HTTP server: routes, errors as JSON, bounds. Knows no SMTP.
//! Always holds: an answer that is no page says `error` and `what_to_do`; whatever may read a disk runs where blocking is allowed;
//! what changes something is in the audit log.

mod answer;
mod audit;
mod cluster;
mod directories;
mod events;
mod guard;
mod messages;
mod node;
mod objects;
mod org;
mod page;
mod queues;
mod restart;
mod services;
mod shown;
mod socket;
mod virtual_addresses;
mod zones;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use roles::control::Control;
use tokio::net::TcpListener;

/// Serves until the process ends, or until `ends`: then nothing new is taken, and what has been asked is answered.
pub async fn serve(listener: TcpListener, control: Control, ends: impl Future<Output = ()> + Send + 'static) {
    let service = routes(control).into_make_service_with_connect_info::<audit::Ends>();
    // An error of one connection is that connection's.
    let _ = axum::serve(socket::Bounded::new(listener), service).with_graceful_shutdown(ends).await;
}

fn routes(control: Control) -> Router {
    let api = Router::new()
        .route("/status", get(node::status))
        .route("/queues", get(queues::list))
        .route("/queues/{name}", get(queues::show))
        .route("/queues/{name}/{verb}", post(queues::verb))
        .route("/messages", get(messages::list))
        .route("/messages/{id}", get(messages::show))
        .route("/messages/{id}/export", get(messages::export))
        .route("/messages/{id}/remove", post(messages::remove))
        .route("/messages/{id}/redirect", post(messages::redirect))
        .route("/messages/{id}/{verb}", post(messages::verb))
        .route("/trace", get(node::trace))
        .route("/events", get(events::stream))
        .route("/audit", get(audit::search))
        .route("/explain", get(node::explain))
        .route("/schema/{of}", get(node::schema))
        .route("/config", get(node::config))
        .route("/config/check", get(node::check))
        .route("/config/reload", post(node::reload))
        .route("/journals/{node}/take-over", post(node::take_over))
        .merge(cluster::routes())
        .merge(directories::routes())
        .merge(org::routes())
        .merge(virtual_addresses::routes())
        .merge(restart::routes())
        .merge(services::routes())
        .merge(zones::routes());
    Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(node::metrics))
        .route("/health/live", get(node::live))
        .route("/health/ready", get(node::ready))
        .nest("/api/v1", api)
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(control.clone(), audit::audit))
        .layer(middleware::from_fn_with_state(control.clone(), guard::guard))
        .with_state(control)
}

/// No request of the API needs more.
const BODY_BYTES_MAX: usize = 64 << 10;
