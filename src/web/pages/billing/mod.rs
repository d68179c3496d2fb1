//! Bills as people read them: one in full.

mod bill;

use crate::web::routes::Routes;

/// The routes of this area.
pub(in crate::web) fn routes(routes: &mut Routes) {
    routes.get("/bills/{number}.pdf", bill::file);
    routes.get("/bills/{number}", bill::bill);
}
