//! `sotto user`: people, and their keys.

use clap::{Args, Subcommand, ValueEnum};
use sotto_store::{Role, Store};

use crate::config::Config;
use crate::people;

/// People who may sign in, and keys for programs.
#[derive(Debug, Args)]
pub(crate) struct User {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add someone; a password is made up and printed unless `SOTTO_PASSWORD` gives one.
    Add {
        /// The name to sign in with.
        name: String,
        /// What they may do.
        #[arg(long, value_enum, default_value = "agent")]
        role: RoleName,
        /// The team that they are in: documents may be for some teams alone, and reviewers see calls of theirs.
        #[arg(long)]
        team: Option<String>,
    },
    /// Put someone into another team; into none without one.
    Team {
        /// Whom.
        name: String,
        /// Where to.
        #[arg(default_value = "")]
        team: String,
    },
    /// Give someone another password, printed unless `SOTTO_PASSWORD` gives it; ends their sessions.
    Password {
        /// Whose.
        name: String,
    },
    /// Everyone.
    List,
    /// Make an API key for a program and print it; it cannot be shown again.
    Key {
        /// What it is for.
        purpose: String,
        /// What it may do: `calls:read`, `calls:publish`, `calls:listen`, `recordings:read`, `recordings:write`, `knowledge:read`,
        /// `crm:read`, `crm:propose`, `crm:write`, `metrics:read`, `admin`.
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
    },
}

/// A [`Role`], as it is named on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleName {
    Agent,
    Reviewer,
    Supervisor,
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Agent => Self::Agent,
            RoleName::Reviewer => Self::Reviewer,
            RoleName::Supervisor => Self::Supervisor,
            RoleName::Admin => Self::Admin,
        }
    }
}

impl User {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let store = Store::open(&config.store_url()).await?;
        let given = std::env::var("SOTTO_PASSWORD").ok().filter(|password| !password.is_empty());
        let now = super::now_unix_ms();
        match self.command {
            Command::Add { name, role, team } => {
                let issued =
                    people::add_user(&store, &name, role.into(), team.as_deref(), given, now).await?;
                println!("{} was added", issued.made.name);
                print_secret(issued.secret);
            }
            Command::Team { name, team } => {
                let Some(user) = people::set_team(&store, &name, &team).await? else {
                    anyhow::bail!("there is no user {name}");
                };
                println!("{} is in {}", user.name, user.team.as_deref().unwrap_or("no team"));
            }
            Command::Password { name } => {
                let Some(issued) = people::set_password(&store, &name, given).await? else {
                    anyhow::bail!("there is no user {name}");
                };
                println!("{} has a new password", issued.made.name);
                print_secret(issued.secret);
            }
            Command::List => {
                for user in store.users().await? {
                    let disabled = if user.disabled { " (disabled)" } else { "" };
                    let team = user.team.map(|team| format!(" in {team}")).unwrap_or_default();
                    println!("{:<20} {:?}{team}{disabled}", user.name, user.role);
                }
            }
            Command::Key { purpose, scopes } => {
                let issued = people::add_key(&store, &purpose, scopes, now).await?;
                println!("{}", issued.secret.unwrap_or_default());
            }
        }
        store.close().await;
        Ok(())
    }
}

fn print_secret(secret: Option<String>) {
    if let Some(secret) = secret {
        println!("password: {secret}");
    }
}
