//! The API's description, for programs and for people.

use super::Web;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, Ref, ResponseBuilder, SecurityRequirement};

/// Head of the document; routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "gpusher",
        description = include_str!("openapi.md"),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "push", description = "Push messages, follow them, take them back"),
        (name = "token", description = "What a client needs to connect"),
        (name = "mail", description = "What waits for the application: dead letters and clients' messages"),
        (name = "presence", description = "Who is connected"),
        (name = "apps", description = "Applications"),
        (name = "users", description = "Users"),
        (name = "system", description = "Health, load, metrics, this description"),
    ),
    components(schemas(super::envelope::Envelope<super::envelope::Problem>)),
)]
pub(super) struct Head;

/// This description as OpenAPI
#[utoipa::path(
    get, path = "/openapi.json", tag = "system",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = serde_json::Value))
)]
pub(super) async fn openapi(State(web): State<Arc<Web>>) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
    ([(header::CONTENT_TYPE, JSON)], web.openapi.get().cloned().unwrap_or_default()).into_response()
}

/// A page for people
#[utoipa::path(
    get, path = "/", tag = "system",
    responses((status = 200, description = "What this is, and the first push", content_type = "text/html", body = String))
)]
pub(super) async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// Adds what is the same for all routes: how they fail.
pub(super) fn describe_failures(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.get_or_insert_default();
    let failures = [
        ("400", "BadRequest", "Malformed or invalid (codes 100 to 106); `field` says where"),
        ("429", "TooMany", "Too much at once; see Retry-After"),
        ("503", "Unavailable", "A dependency is away, or the process is full; see Retry-After"),
    ];
    for (_, name, text) in failures {
        let response =
            ResponseBuilder::new().description(text).content("application/json", problem());
        components.responses.insert(name.into(), response.build().into());
    }
    for operation in operations(document) {
        for (status, name, _) in failures {
            let responses = &mut operation.responses.responses;
            responses.entry(status.into()).or_insert_with(|| Ref::from_response_name(name).into());
        }
    }
}

/// Adds the API key to routes that ask for it.
pub(super) fn describe_key(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
    components.add_security_scheme("apiKey", SecurityScheme::ApiKey(header));
    let text = "No or wrong API key (code 401)";
    let refusal = ResponseBuilder::new().description(text).content("application/json", problem());
    components.responses.insert("Unauthorized".into(), refusal.build().into());
    for operation in operations(document) {
        let none: [&str; 0] = [];
        operation.security = Some(vec![
            SecurityRequirement::new("bearer", none),
            SecurityRequirement::new("apiKey", none),
        ]);
        let responses = &mut operation.responses.responses;
        responses.insert("401".into(), Ref::from_response_name("Unauthorized").into());
    }
}

fn problem() -> Content {
    let schema = Ref::from_schema_name("Envelope_Problem");
    let example = serde_json::json!({
        "Code": 0, "Msg": "error", "Data": {"code": 101, "msg": "tag is missing", "field": "tag"}
    });
    ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
}

fn operations(
    document: &mut utoipa::openapi::OpenApi,
) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    document.paths.paths.values_mut().flat_map(|item| {
        [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
            .into_iter()
            .flatten()
    })
}
