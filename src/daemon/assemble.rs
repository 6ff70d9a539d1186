//! From a configuration to a schedule that the engine can put in force: the drivers are made here.

use super::oauth;
use crate::auth::Accounts;
use crate::config::{
    Config, Diagnostic, MeetingServiceConfig, ProviderConfig, ProviderKind, SecretRef, Severity, ZoomConfig,
};
use crate::engine::{LaneLimits, ProviderSetup, Schedule};
use crate::providers::{Provider, meeting_service, zoom};
use crate::seams::{Clock, Files};
use crate::transport::Transport;
use crate::web::Webhooks;
use secrecy::SecretString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The daemon's own meeting service, as its driver reaches it.
#[derive(Debug, Clone)]
pub struct BuiltInService {
    /// `http://<address of the listener>`.
    pub base_url: String,
    /// What its extensions ask for.
    pub admin_secret: SecretString,
}

/// Makes drivers.
#[derive(Clone)]
pub struct Assembler {
    /// How requests leave.
    pub transport: Arc<dyn Transport>,
    /// What drivers tell the time by.
    pub clock: Arc<dyn Clock>,
    /// Where secrets are read.
    pub files: Arc<dyn Files>,
    /// The daemon's own meeting service.
    pub built_in: BuiltInService,
    /// Accounts elsewhere.
    pub accounts: Arc<Accounts>,
    /// Takes the webhooks of providers.
    pub webhooks: Arc<Webhooks>,
}

impl Assembler {
    /// The schedule that `config` describes.
    ///
    /// # Errors
    /// Secrets that are missing, all of them.
    pub fn schedule(&self, config: &Config) -> Result<Schedule, Vec<Diagnostic>> {
        let mut missing = config.missing_secrets(&*self.files);
        if !missing.is_empty() {
            // Here a credential that only a unit has is missing for good.
            missing.iter_mut().for_each(|problem| problem.severity = Severity::Error);
            return Err(missing);
        }
        let mut providers = Vec::with_capacity(config.providers.len());
        for provider in config.providers.values() {
            // Read a moment ago: that one vanished since is all that can go wrong.
            let driver = self.driver(provider).map_err(|problem| {
                let path = Path::new(&provider.name);
                vec![Diagnostic::of_file(Severity::Error, path, problem, None)]
            })?;
            let name = provider.name.clone();
            providers.push(ProviderSetup { name, provider: driver, limits: limits(provider) });
        }
        Ok(Schedule {
            meetings: config.meetings.clone(),
            providers,
            horizon: config.daemon.horizon,
            history: config.daemon.history,
            guard: config.daemon.reload_guard,
        })
    }

    fn driver(&self, provider: &ProviderConfig) -> Result<Arc<dyn Provider>, String> {
        let secret = |secret: &SecretRef| secret.resolve(&*self.files);
        let which = match &provider.kind {
            ProviderKind::MeetingService(which) => which,
            ProviderKind::Zoom(zoom) => return self.zoom(provider, zoom),
        };
        let settings = match which {
            MeetingServiceConfig::BuiltIn => meeting_service::Settings {
                timeout: provider.timeout,
                ..meeting_service::Settings::new(&self.built_in.base_url, self.built_in.admin_secret.clone())
            },
            MeetingServiceConfig::Remote { base_url, prefix, app_id, customer, admin_secret } => {
                let customer = customer.as_ref();
                meeting_service::Settings {
                    base_url: base_url.clone(),
                    prefix: prefix.clone(),
                    app_id: app_id.clone(),
                    customer: customer.map(|(id, s)| secret(s).map(|s| (id.clone(), s))).transpose()?,
                    admin_secret: secret(admin_secret)?,
                    timeout: provider.timeout,
                }
            }
        };
        Ok(Arc::new(meeting_service::Driver::new(settings, self.transport.clone(), self.clock.clone())))
    }

    fn zoom(&self, provider: &ProviderConfig, zoom: &ZoomConfig) -> Result<Arc<dyn Provider>, String> {
        let client = oauth::client_of(provider, &*self.files);
        let client = client.unwrap_or_else(|| Err("it has no application".to_owned()))?;
        let tokens = Arc::new(self.accounts.account(client));
        let settings = zoom::Settings {
            base_url: zoom.base_url.clone(),
            user: zoom.user.clone(),
            quota: zoom.quota(),
            after_close: zoom.after_close,
            timeout: provider.timeout,
        };
        let secret = zoom.webhook_secret.as_ref().map(|secret| secret.resolve(&*self.files)).transpose()?;
        let presence = self.webhooks.serve(&provider.name, secret);
        Ok(Arc::new(zoom::Driver::new(
            settings,
            presence,
            tokens,
            self.transport.clone(),
            self.clock.clone(),
        )))
    }
}

/// How long one call may take: Zoom's take up to four requests.
fn call_timeout(provider: &ProviderConfig) -> Duration {
    match provider.kind {
        ProviderKind::MeetingService(_) => provider.timeout,
        ProviderKind::Zoom(_) => provider.timeout * 4,
    }
}

fn limits(provider: &ProviderConfig) -> LaneLimits {
    LaneLimits {
        max_in_flight: provider.max_in_flight,
        interval: provider.rate_limit.map_or(Duration::ZERO, |limit| limit.per / limit.requests.max(1)),
        timeout: call_timeout(provider),
    }
}
