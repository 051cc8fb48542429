//! The own account: joining, devices, recovery words, wiping.

use clap::Args;
use mathia_protocol::name::Handle;

use super::{Invocation, OnScreen, SlashCommand, Verb, slash_command, subcommand};

/// Arguments of `join`.
#[derive(Debug, Clone, Args)]
pub struct RegisterArgs {
    /// The link; `-` reads it from stdin, so that it stays out of process lists.
    pub link: String,
    /// The name others will see.
    #[arg(long)]
    pub name: Handle,
}

/// Arguments of `device revoke`.
#[derive(Debug, Clone, Args)]
pub struct RevokeDeviceArgs {
    /// The device: the beginning of its identifier, or its name.
    pub device: String,
}

pub(super) const REGISTER: Verb = Verb {
    name: "register",
    command_line: subcommand!(
        ["join"],
        "Make an account by an invite link (or a plain server address where that is allowed)",
        RegisterArgs => Invocation::Register
    ),
    screen: OnScreen::Shown("the first start asks for the link and the name"),
};

pub(super) const WHOAMI: Verb = Verb {
    name: "whoami",
    command_line: subcommand!(
        ["whoami"],
        "Show the account, the device and the server of this profile",
        Invocation::Whoami
    ),
    screen: OnScreen::Shown("the head of the sidebar names the account and the server"),
};

pub(super) const DEVICES: Verb = Verb {
    name: "devices",
    command_line: subcommand!(["devices"], "List your devices", Invocation::Devices),
    screen: slash_command!(["devices"], "", "your own devices", |_| Ok(SlashCommand::Devices)),
};

pub(super) const REVOKE_DEVICE: Verb = Verb {
    name: "device revoke",
    command_line: subcommand!(
        ["device", "revoke"],
        "Revoke one of your devices: it reads nothing that comes after",
        RevokeDeviceArgs => Invocation::RevokeDevice
    ),
    screen: OnScreen::Absent("it cannot be undone, and the command line asks for a typed yes"),
};

pub(super) const SHOW_WORDS: Verb = Verb {
    name: "key show",
    command_line: subcommand!(
        ["key", "show"],
        "Show the 24 recovery words: whoever has them is you",
        Invocation::ShowWords
    ),
    screen: OnScreen::Absent("the first start shows them once; a screen others see is no place"),
};

pub(super) const LOGOUT: Verb = Verb {
    name: "logout",
    command_line: subcommand!(
        ["logout"],
        "Wipe this profile's keys and history from this machine",
        Invocation::Logout
    ),
    screen: OnScreen::Absent("it needs the key file, which the interactive client holds locked"),
};
