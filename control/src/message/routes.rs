//! The `Routes` service over any route table.

use crate::routes::Routes;
use gpusher_proto::data::*;
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(super) struct RoutesService(pub(super) Arc<dyn Routes>);

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

#[tonic::async_trait]
impl routes_server::Routes for RoutesService {
    async fn bind(&self, request: Request<RouteList>) -> Answer<Replaced> {
        let replaced = self.0.bind(request.into_inner().routes).await?;
        let of = replaced.into_iter().map(|routes| ReplacedBy { routes }).collect();
        answer(Replaced { of })
    }

    async fn unbind(&self, request: Request<ConnKeys>) -> Answer<Nothing> {
        self.0.unbind(request.into_inner().conns).await?;
        answer(Nothing {})
    }

    async fn locate(&self, request: Request<UserKeys>) -> Answer<Located> {
        let located = self.0.locate(request.into_inner().users).await?;
        answer(Located { of: located.into_iter().map(|routes| RouteList { routes }).collect() })
    }

    async fn attach(&self, request: Request<GatewayLease>) -> Answer<Nothing> {
        self.0.attach(request.into_inner()).await?;
        answer(Nothing {})
    }

    async fn renew(&self, request: Request<GatewayLease>) -> Answer<Found> {
        answer(Found { found: self.0.renew(request.into_inner()).await? })
    }

    async fn detach(&self, request: Request<GatewayKey>) -> Answer<Nothing> {
        let GatewayKey { gateway, epoch } = request.into_inner();
        self.0.detach(gateway, epoch).await?;
        answer(Nothing {})
    }

    async fn gateways(&self, _: Request<Nothing>) -> Answer<GatewayList> {
        answer(GatewayList { gateways: self.0.gateways().await? })
    }

    async fn announce(&self, request: Request<MembershipList>) -> Answer<Nothing> {
        self.0.announce(request.into_inner().memberships).await?;
        answer(Nothing {})
    }

    async fn members(&self, request: Request<AudienceKey>) -> Answer<GatewayIds> {
        answer(GatewayIds { gateways: self.0.members(request.into_inner()).await? })
    }

    async fn counts(&self, request: Request<AppKey>) -> Answer<CountList> {
        answer(CountList { counts: self.0.counts(request.into_inner().id).await? })
    }

    async fn list_routes(&self, request: Request<RoutePage>) -> Answer<RouteList> {
        answer(RouteList { routes: self.0.list(request.into_inner()).await? })
    }
}
