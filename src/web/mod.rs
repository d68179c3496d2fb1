//! The web application: routes, pages, errors.
//!
//! What belongs here: HTTP. What does not: SQL and rules; a handler loads, authorises, acts, answers.

pub mod frame;
mod pages;
pub mod viewer;

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::Server;
use actix_web::middleware::{Compress, DefaultHeaders};
use actix_web::{App, HttpServer, web};

use crate::actions::Context;

/// Styles, built into the program.
const STYLE: &str = include_str!("../../static/style.css");

/// The picture beside the page's title in a browser.
const ICON: &str = include_str!("../../static/icon.svg");

/// What browsers may load: our own files and nothing else.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The application, bound to its address and ready to run.
pub struct Application {
    context: Context,
    listener: TcpListener,
    address: SocketAddr,
}

impl Application {
    /// Binds the application to an address; port 0 takes any free port.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn build(context: Context, listen: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        Ok(Self { context, listener, address })
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// When the server cannot start or fails.
    pub fn run(self) -> std::io::Result<()> {
        actix_web::rt::System::new().block_on(async move { self.server()?.await })
    }

    fn server(self) -> std::io::Result<Server> {
        let context = web::Data::new(self.context);
        let workers = context.config.runs.worker_count().max(2);
        let server = HttpServer::new(move || {
            App::new()
                .wrap(security_headers())
                .wrap(Compress::default())
                .app_data(context.clone())
                .route("/health", web::get().to(pages::operations::health))
                .route("/", web::get().to(pages::operations::front))
                .route("/static/style.css", web::get().to(pages::operations::style))
                .route("/static/icon.svg", web::get().to(pages::operations::icon))
                .default_service(web::to(pages::operations::not_found))
        });
        Ok(server.workers(workers).shutdown_timeout(10).listen(self.listener)?.run())
    }
}

fn security_headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("Content-Security-Policy", CONTENT_POLICY))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Referrer-Policy", "same-origin"))
        .add(("Cross-Origin-Opener-Policy", "same-origin"))
}
