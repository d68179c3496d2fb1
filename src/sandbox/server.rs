//! HTTP: which address is answered by what, and connections that are cut on demand.

use std::any::Any;
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::{Extensions, Server};
use actix_web::http::{Method, header};
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Bytes, Data, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

use super::acts::Refusal;
use super::api::{self, Answer, Request};
use super::faults::Outage;
use super::{Core, control, pages};

/// The largest body of a call, in bytes.
const LARGEST_BODY: usize = 256 * 1024;
/// How long answers may take when the program ends, in seconds.
const LAST_ANSWERS_SECONDS: u64 = 2;

/// A second handle of a connection, to cut it with.
struct Cut(std::net::TcpStream);

fn keep_handle(connection: &dyn Any, extensions: &mut Extensions) {
    let stream = connection.downcast_ref::<TcpStream>();
    if let Some(Ok(handle)) = stream.map(|stream| stream.as_fd().try_clone_to_owned()) {
        extensions.insert(Cut(handle.into()));
    }
}

pub(super) fn serve(core: Arc<Core>, listener: TcpListener, told: Pin<Box<dyn Future<Output = ()> + Send>>) -> std::io::Result<Server> {
    let core = Data::from(core);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(core.clone())
            .app_data(web::PayloadConfig::new(LARGEST_BODY))
            .configure(pages::configure)
            .configure(control::configure)
            .route("/v1/{path:.*}", web::to(call))
            .default_service(web::to(pages::not_found))
    });
    let server = server.workers(2).disable_signals().shutdown_timeout(LAST_ANSWERS_SECONDS).on_connect(keep_handle).listen(listener)?;
    Ok(server.shutdown_signal(told).run())
}

/// Runs a verb away from the threads that serve.
pub(super) async fn away<T: Send + 'static>(core: &Data<Core>, work: impl FnOnce(&Core) -> T + Send + 'static) -> Result<T, actix_web::Error> {
    let core = core.clone();
    Ok(web::block(move || work(&core)).await?)
}

/// A call of Stripe's interface.
async fn call(core: Data<Core>, request: HttpRequest, path: web::Path<String>, body: Bytes) -> Result<HttpResponse, actix_web::Error> {
    let post = request.method() == Method::POST;
    let outage = away(&core, move |core| take_outage(&mut core.lock().faults, post)).await?;
    match outage {
        Outage::Error => {
            return Ok(HttpResponse::ServiceUnavailable()
                .json(serde_json::json!({ "error": { "type": "api_error", "message": "The sandbox has an outage." } })));
        }
        Outage::Drop => return Ok(cut(&request)),
        Outage::None | Outage::LostAnswer => {}
    }
    let answer = match read_call(&request, path.into_inner(), &body) {
        Ok(call) => {
            let answered = away(&core, move |core| {
                let (key, address) = (core.key.clone(), core.address.clone());
                core.act(|state| api::answer(state, &key, &address, &call))
            });
            answered.await?.map_err(actix_web::error::ErrorInternalServerError)?
        }
        Err(refusal) => Answer::refusal(&refusal),
    };
    if outage == Outage::LostAnswer {
        return Ok(cut(&request));
    }
    let status = actix_web::http::StatusCode::from_u16(answer.status).map_err(actix_web::error::ErrorInternalServerError)?;
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CONTENT_TYPE, "application/json"));
    if answer.replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    Ok(response.body(answer.body))
}

/// What happens to this call; an outage of so many calls ends with the last.
fn take_outage(faults: &mut super::Faults, post: bool) -> Outage {
    let outage = if faults.outage == Outage::LostAnswer && !post { Outage::None } else { faults.outage };
    if outage != Outage::None && faults.outage_calls > 0 {
        faults.outage_calls -= 1;
        if faults.outage_calls == 0 {
            faults.outage = Outage::None;
        }
    }
    outage
}

/// Drops the connection: whoever called sees no answer.
fn cut(request: &HttpRequest) -> HttpResponse {
    if let Some(Cut(stream)) = request.conn_data::<Cut>() {
        // The other side may have gone first.
        let _ = stream.shutdown(Shutdown::Both);
    }
    HttpResponse::ServiceUnavailable().finish()
}

fn read_call(request: &HttpRequest, path: String, body: &Bytes) -> Result<Request, Refusal> {
    let get = match *request.method() {
        Method::GET => true,
        Method::POST => false,
        _ => return Err(Refusal { status: 405, ..Refusal::invalid("method_unknown", "Expected GET or POST.") }),
    };
    let text = if get { Ok(request.query_string()) } else { std::str::from_utf8(body) };
    let text = text.map_err(|_| Refusal::invalid("body_invalid", "The body is not UTF-8."))?;
    let pairs = Query::<Vec<(String, String)>>::from_query(text)
        .map_err(|error| Refusal::invalid("body_invalid", format!("The form cannot be read: {error}")))?;
    let named = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Request { get, path, pairs: pairs.into_inner(), authorization: named("Authorization"), idempotency_key: named("Idempotency-Key") })
}
