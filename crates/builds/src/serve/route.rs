//! What a path asks for. Seven paths are spoken; everything else is not there.

use http::Method;
use lockgate_model::{BuildId, EnvName, GatewayName};

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/healthz`: the server lives.
    Health,
    /// `/gateway-{env}.tar.gz`: an environment's current archive.
    Archive(EnvName),
    /// `/v1/gateways/{name}/desired`: the blocking query.
    Desired(GatewayName),
    /// `/v1/gateways/{name}/status`: a gateway's report.
    Status(GatewayName),
    /// `/v1/builds/{env}/{build}/manifest.json`.
    Manifest(EnvName, BuildId),
    /// `/v1/builds/{env}/{build}.tar`.
    Build(EnvName, BuildId),
}

impl Route {
    /// Reads a path. Names are plain, so nothing is decoded: `%2e` names nothing.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        match *parts.as_slice() {
            ["healthz"] => Some(Self::Health),
            [file] => {
                let env = file.strip_prefix("gateway-")?.strip_suffix(".tar.gz")?;
                Some(Self::Archive(EnvName::parse(env).ok()?))
            }
            ["v1", "gateways", name, "desired"] => {
                Some(Self::Desired(GatewayName::parse(name).ok()?))
            }
            ["v1", "gateways", name, "status"] => {
                Some(Self::Status(GatewayName::parse(name).ok()?))
            }
            ["v1", "builds", env, build, "manifest.json"] => {
                Some(Self::Manifest(named(env)?, BuildId::parse(build).ok()?))
            }
            ["v1", "builds", env, file] => {
                let build = file.strip_suffix(".tar")?;
                Some(Self::Build(named(env)?, BuildId::parse(build).ok()?))
            }
            _ => None,
        }
    }

    /// The methods it answers, as `Allow` lists them.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Health | Self::Archive(_) | Self::Manifest(..) | Self::Build(..) => "GET, HEAD",
            Self::Desired(_) => "GET",
            Self::Status(_) => "PUT",
        }
    }

    /// Whether it answers this method.
    pub(super) fn answers(&self, method: &Method) -> bool {
        self.allow()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }

    /// Whether only programs that speak the protocol may ask.
    pub(super) fn speaks_protocol(&self) -> bool {
        !matches!(self, Self::Health | Self::Archive(_))
    }

    /// Whether the token of this gateway opens it.
    pub(super) fn open_to(&self, owner: &GatewayName) -> bool {
        match self {
            Self::Health => true,
            Self::Archive(env) | Self::Manifest(env, _) | Self::Build(env, _) => {
                owner.env() == *env
            }
            Self::Desired(gateway) | Self::Status(gateway) => owner == gateway,
        }
    }
}

fn named(env: &str) -> Option<EnvName> {
    EnvName::parse(env).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::protocol;

    fn env() -> EnvName {
        EnvName::parse("dev-001").unwrap()
    }

    fn build() -> BuildId {
        BuildId::parse("0123456789ab").unwrap()
    }

    fn gateway() -> GatewayName {
        GatewayName::new(&env(), 0)
    }

    fn check(path: &str, expected: &Route) {
        assert_eq!(Route::parse(path).as_ref(), Some(expected), "{path}");
    }

    #[test]
    fn every_path_of_the_protocol_has_its_route() {
        check("/healthz", &Route::Health);
        check(&protocol::archive_path(&env()), &Route::Archive(env()));
        check(
            &protocol::desired_path(&gateway()),
            &Route::Desired(gateway()),
        );
        check(
            &protocol::status_path(&gateway()),
            &Route::Status(gateway()),
        );
        let (env, build) = (env(), build());
        let manifest = protocol::manifest_path(&env, &build);
        check(&manifest, &Route::Manifest(env.clone(), build.clone()));
        check(
            &protocol::build_path(&env, &build),
            &Route::Build(env, build),
        );
    }

    #[test]
    fn other_paths_are_not_there() {
        for path in [
            "",
            "/",
            "*",
            "//",
            "/healthz/",
            "/gateway-.tar.gz",
            "/gateway-dev-001.tar",
            "/gateway-dev-001.tar.gz/",
            "/gateway-../x.tar.gz",
            "/gateway-DEV.tar.gz",
            "/gateway-%64ev.tar.gz",
            "/.env",
            "/../etc/passwd",
            "/builds",
            "/v1/gateways",
            "/v1/gateways/gw-pool-dev-001-0",
            "/v1/gateways/other/desired",
            "/v1/gateways/gw-pool-dev-001-0/other",
            "/v1/builds/dev-001/0123456789ab",
            "/v1/builds/dev-001/0123456789AB.tar",
            "/v1/builds/dev-001/0123456789ab/archive.tar",
            "/v1/builds/../0123456789ab.tar",
            "/v2/builds/dev-001/0123456789ab.tar",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_token_opens_its_own_gateway_and_its_environments_builds() {
        let other = |text| GatewayName::parse(text).unwrap();
        let mine = [
            Route::Archive(env()),
            Route::Manifest(env(), build()),
            Route::Build(env(), build()),
        ];
        for route in mine {
            assert!(route.open_to(&gateway()), "{route:?}");
            assert!(route.open_to(&other("gw-pool-dev-001-9")), "{route:?}");
            assert!(!route.open_to(&other("gw-pool-dev-002-0")), "{route:?}");
        }
        for route in [Route::Desired(gateway()), Route::Status(gateway())] {
            assert!(route.open_to(&gateway()), "{route:?}");
            assert!(!route.open_to(&other("gw-pool-dev-001-1")), "{route:?}");
        }
    }

    #[test]
    fn methods_are_listed_and_answered() {
        assert!(Route::Health.answers(&Method::HEAD));
        assert!(!Route::Archive(env()).answers(&Method::POST));
        assert!(Route::Status(gateway()).answers(&Method::PUT));
        assert!(!Route::Status(gateway()).answers(&Method::GET));
        assert!(!Route::Desired(gateway()).answers(&Method::HEAD));
    }
}
