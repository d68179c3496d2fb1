//! Pages by area. Each area adds its routes with a function `routes(&mut Routes)`.

mod billing;
mod customers;
pub(super) mod operations;
mod sign_in;
mod staff;

use actix_web::web::ServiceConfig;

use super::routes::Routes;

/// Every route of the application.
pub(super) fn all_routes() -> Routes {
    let mut routes = Routes::default();
    billing::routes(&mut routes);
    customers::routes(&mut routes);
    operations::routes(&mut routes);
    sign_in::routes(&mut routes);
    staff::routes(&mut routes);
    routes
}

/// Puts every route into the application.
pub(super) fn configure(config: &mut ServiceConfig) {
    all_routes().register(config);
}
