//! Styles named by meaning, for dark and light, any color, 256, sixteen, or none.
//!
//! Owns every color of the program. No meaning is carried by color alone: wherever a role is used,
//! a sign or a word says the same, so that [`Depth::None`] loses nothing.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// What people say: the brightest.
    Text,
    /// Stamps, hints, sentences about the room: readable, but behind.
    Dim,
    /// Rules between areas: decoration.
    Rule,
    /// The one color that draws the eye: the current room, keys, unread.
    Accent,
    /// Names of others.
    Name,
    /// The own name.
    Mine,
    /// The assistant: its name, and what it was shown.
    Assistant,
    /// Something that names the reader.
    Mention,
    /// Counts of what was not read.
    Unread,
    /// Ticks of what everybody has read.
    Read,
    /// Something that went wrong or is not to be trusted.
    Failed,
    /// Something to be careful about: open rooms, being offline.
    Warn,
    /// Somebody is there; the connection stands.
    Online,
    /// The thing keys act upon; a sign at its left says it too.
    Selected,
    /// Code.
    Code,
}

impl Role {
    /// All roles, for tests and previews.
    pub const ALL: [Self; 15] = [
        Self::Text,
        Self::Dim,
        Self::Rule,
        Self::Accent,
        Self::Name,
        Self::Mine,
        Self::Assistant,
        Self::Mention,
        Self::Unread,
        Self::Read,
        Self::Failed,
        Self::Warn,
        Self::Online,
        Self::Selected,
        Self::Code,
    ];
}

/// How many colors the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Any color.
    #[default]
    True,
    /// The 256 that look the same everywhere.
    Indexed,
    /// The sixteen whose looks the person chose.
    Sixteen,
    /// None (`NO_COLOR`): attributes and words only.
    None,
}

/// Whether the terminal's background is dark or light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Dark.
    #[default]
    Dark,
    /// Light.
    Light,
}

/// A way of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Theme {
    /// How many colors.
    pub depth: Depth,
    /// On what background.
    pub tone: Tone,
}

impl Theme {
    /// Chooses by what the environment says, through `var`: `NO_COLOR`, `CLICOLOR_FORCE`,
    /// `COLORTERM`, `TERM` and `COLORFGBG`. Without a word about the background it is taken for
    /// dark; the terminal itself knows better and can be asked.
    pub fn from_environment(var: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| var(name).is_some_and(|value| !value.is_empty());
        let has = |name: &str, words: &[&str]| {
            var(name).is_some_and(|value| words.iter().any(|word| value.contains(word)))
        };
        let is_forced = var("CLICOLOR_FORCE").is_some_and(|value| !matches!(&*value, "" | "0"));
        let depth = if is_set("NO_COLOR") || (has("TERM", &["dumb"]) && !is_forced) {
            Depth::None
        } else if has("COLORTERM", &["truecolor", "24bit"]) || has("TERM", &["direct"]) {
            Depth::True
        } else if has("TERM", &["256color"]) {
            Depth::Indexed
        } else {
            Depth::Sixteen
        };
        // The last number is the background: 7 and 15 are the light ones.
        let background = var("COLORFGBG").and_then(|value| {
            value.rsplit(';').next().and_then(|number| number.parse::<u8>().ok())
        });
        let tone = if matches!(background, Some(7 | 15)) { Tone::Light } else { Tone::Dark };
        Self { depth, tone }
    }

    /// The style of a meaning.
    pub fn style(self, role: Role) -> Style {
        let style = Style::default().add_modifier(attributes(role));
        let has_many = matches!(self.depth, Depth::True | Depth::Indexed);
        let style = match color_in(self, role) {
            Some(color) => style.fg(self.shown(color)),
            None if has_many => style,
            None => style.add_modifier(attributes_without_color(role)),
        };
        match (role, self.tone) {
            (Role::Selected, Tone::Dark) if has_many => style.bg(self.shown(SELECTED_DARK)),
            (Role::Selected, Tone::Light) if has_many => style.bg(self.shown(SELECTED_LIGHT)),
            _ => style,
        }
    }

    /// A color as this depth can show it.
    fn shown(self, color: Color) -> Color {
        match color {
            Color::Rgb(red, green, blue) if self.depth == Depth::Indexed => {
                Color::Indexed(nearest_of_256([red, green, blue]))
            }
            color => color,
        }
    }

    /// Whether meaning must be shown without any color.
    pub fn is_colorless(self) -> bool {
        self.depth == Depth::None
    }
}

const SELECTED_DARK: Color = Color::Rgb(0x2b, 0x31, 0x3f);
const SELECTED_LIGHT: Color = Color::Rgb(0xe6, 0xea, 0xf2);

/// What a role adds besides its color.
fn attributes(role: Role) -> Modifier {
    match role {
        Role::Name | Role::Mine | Role::Assistant | Role::Mention | Role::Unread => Modifier::BOLD,
        _ => Modifier::empty(),
    }
}

/// What takes the place of a color where there is none.
fn attributes_without_color(role: Role) -> Modifier {
    match role {
        Role::Dim | Role::Rule => Modifier::DIM,
        Role::Accent | Role::Failed | Role::Read => Modifier::BOLD,
        _ => Modifier::empty(),
    }
}

/// The color of a role; `None` where the terminal's own text color says it best.
fn color_in(theme: Theme, role: Role) -> Option<Color> {
    match (theme.depth, theme.tone) {
        (Depth::None, _) => None,
        (Depth::Sixteen, tone) => of_sixteen(tone, role),
        (Depth::True | Depth::Indexed, Tone::Dark) => on_dark(role),
        (Depth::True | Depth::Indexed, Tone::Light) => on_light(role),
    }
}

/// Brightness of the steps of the color cube, 16 to 231.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest of those of the 256 that no person's palette changes: the cube and the grays.
fn nearest_of_256(color: [u8; 3]) -> u8 {
    let away = |index: &u8| -> u32 {
        let other = rgb_of_256(*index);
        color.iter().zip(other).map(|(one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
    };
    (16..=u8::MAX).min_by_key(away).unwrap_or(u8::MAX)
}

/// What one of the 256 from 16 on looks like.
fn rgb_of_256(index: u8) -> [u8; 3] {
    let grays = 232;
    if index >= grays {
        return [8 + (index - grays) * 10; 3];
    }
    let cell = usize::from(index.saturating_sub(16));
    [CUBE[cell / 36], CUBE[cell / 6 % 6], CUBE[cell % 6]]
}

fn on_dark(role: Role) -> Option<Color> {
    Some(match role {
        Role::Text | Role::Name | Role::Selected => return None,
        Role::Dim => Color::Rgb(0x98, 0xa0, 0xb0),
        Role::Rule => Color::Rgb(0x45, 0x4b, 0x58),
        Role::Accent | Role::Unread | Role::Mine => Color::Rgb(0x7c, 0xc4, 0xc0),
        Role::Assistant => Color::Rgb(0xbf, 0xa8, 0xf0),
        Role::Mention | Role::Warn => Color::Rgb(0xe5, 0xb5, 0x6c),
        Role::Read => Color::Rgb(0x6f, 0xb3, 0xff),
        Role::Failed => Color::Rgb(0xff, 0x8b, 0x88),
        Role::Online => Color::Rgb(0x86, 0xc7, 0x86),
        Role::Code => Color::Rgb(0xc3, 0xc9, 0xd6),
    })
}

fn on_light(role: Role) -> Option<Color> {
    Some(match role {
        Role::Text | Role::Name | Role::Selected => return None,
        Role::Dim => Color::Rgb(0x5a, 0x61, 0x70),
        Role::Rule => Color::Rgb(0xc4, 0xc8, 0xd0),
        Role::Accent | Role::Unread | Role::Mine => Color::Rgb(0x0b, 0x66, 0x66),
        Role::Assistant => Color::Rgb(0x6a, 0x3f, 0xa8),
        Role::Mention | Role::Warn => Color::Rgb(0x87, 0x50, 0x00),
        Role::Read => Color::Rgb(0x0a, 0x55, 0xc4),
        Role::Failed => Color::Rgb(0xb3, 0x1d, 0x28),
        Role::Online => Color::Rgb(0x1f, 0x68, 0x2a),
        Role::Code => Color::Rgb(0x38, 0x3f, 0x4d),
    })
}

/// Of the sixteen, only those that are legible on their tone in the common palettes; what is dim
/// is told by the attribute, since "bright black" is invisible in some.
fn of_sixteen(tone: Tone, role: Role) -> Option<Color> {
    let is_dark = tone == Tone::Dark;
    Some(match role {
        Role::Text | Role::Name | Role::Selected | Role::Code | Role::Dim | Role::Rule => {
            return None;
        }
        Role::Accent | Role::Unread | Role::Mine if is_dark => Color::Cyan,
        Role::Assistant if is_dark => Color::LightMagenta,
        Role::Mention | Role::Warn if is_dark => Color::Yellow,
        Role::Read if is_dark => Color::LightBlue,
        Role::Failed if is_dark => Color::LightRed,
        Role::Online if is_dark => Color::Green,
        Role::Accent | Role::Unread | Role::Mine | Role::Read | Role::Assistant => Color::Blue,
        Role::Mention | Role::Warn => Color::Magenta,
        Role::Failed => Color::Red,
        Role::Online => Color::Green,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DARK_BACKGROUNDS: [Color; 4] = [
        Color::Rgb(0, 0, 0),
        Color::Rgb(0x1e, 0x1e, 0x2e),
        Color::Rgb(0x28, 0x2c, 0x34),
        SELECTED_DARK,
    ];
    const LIGHT_BACKGROUNDS: [Color; 3] =
        [Color::Rgb(255, 255, 255), Color::Rgb(0xfd, 0xf6, 0xe3), SELECTED_LIGHT];

    fn luminance(color: Color) -> f64 {
        let [r, g, b] = match color {
            Color::Rgb(r, g, b) => [r, g, b],
            Color::Indexed(index) => rgb_of_256(index),
            other => panic!("a person's palette decides how {other:?} looks"),
        };
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    /// The ratio of WCAG 2.2, 1 to 21.
    fn contrast(one: Color, other: Color) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    #[test]
    fn every_text_has_enough_contrast_on_every_usual_background() {
        for (tone, backgrounds) in
            [(Tone::Dark, &DARK_BACKGROUNDS[..]), (Tone::Light, &LIGHT_BACKGROUNDS[..])]
        {
            for depth in [Depth::True, Depth::Indexed] {
                let theme = Theme { depth, tone };
                let selected = theme.style(Role::Selected).bg;
                for role in Role::ALL.into_iter().filter(|role| *role != Role::Rule) {
                    let Some(color) = theme.style(role).fg else { continue };
                    for background in backgrounds.iter().copied().chain(selected) {
                        let ratio = contrast(color, background);
                        assert!(ratio >= 4.5, "{role:?} on {background:?}, {theme:?}: {ratio:.2}");
                    }
                }
            }
        }
    }

    #[test]
    fn without_color_no_style_has_a_color() {
        let theme = Theme { depth: Depth::None, tone: Tone::Dark };
        for role in Role::ALL {
            assert_eq!((theme.style(role).fg, theme.style(role).bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn the_environment_chooses() {
        let theme = |vars: &'static [(&str, &str)]| {
            Theme::from_environment(|name| {
                vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(theme(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]).depth, Depth::None);
        assert_eq!(theme(&[("NO_COLOR", ""), ("COLORTERM", "truecolor")]).depth, Depth::True);
        assert_eq!(theme(&[("TERM", "xterm-256color")]).depth, Depth::Indexed);
        assert_eq!(theme(&[("TERM", "linux")]).depth, Depth::Sixteen);
        assert_eq!(theme(&[("TERM", "dumb")]).depth, Depth::None);
        assert_eq!(theme(&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")]).depth, Depth::Sixteen);
        assert_eq!(theme(&[("TERM", "dumb"), ("CLICOLOR_FORCE", "0")]).depth, Depth::None);
        assert_eq!(theme(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).depth, Depth::None);
        assert_eq!(theme(&[("COLORFGBG", "0;15")]).tone, Tone::Light);
        assert_eq!(theme(&[("COLORFGBG", "15;0")]).tone, Tone::Dark);
    }
}
