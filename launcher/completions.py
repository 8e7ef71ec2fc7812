"""Makes the completions of pyinit's command line for bash, zsh and fish, from the table of options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import manual

from pyinit import usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyinit.option_table import Option

MADE = "# Completion of pyinit(1). Made when the wheel is built, from the table of options in pyinit/option_table.py."

# The kinds of options that name a file.
PATHS = ("path", "files")


def labels(option: Option) -> list[str]:
    """Return the ways to write an option: `-e`, `--ok-exit`, and `--no-pause` of a switch."""
    found = [f"-{letter}" for letter in option.short]
    if option.name:
        found.append(f"--{option.name}")
    return [*found, f"--no-{option.name}"] if option.kind == "switch" else found


def text_of(option: Option, table: Sequence[Option]) -> str:
    """Return what an option is for, in a few words."""
    if option.name in usage.TEXTS:
        return usage.TEXTS[option.name]
    return manual.meaning(option, table) if option.gives else f"show the {option.name} and leave"


BASH = r"""
_pyinit_reply() { # PREFIX WORD NAME...: replies with those of the names that go on from WORD
    local prefix=$1 word=$2 name cut='' breaks=''
    shift 2
    # Bash replaces only what stands behind the last of these.
    [[ $COMP_WORDBREAKS == *=* ]] && breaks='='
    [[ $COMP_WORDBREAKS == *:* ]] && breaks=$breaks:
    # shellcheck disable=SC2295
    [[ $breaks ]] && cut=${prefix%"${prefix##*[$breaks]}"}
    for name; do
        [[ $name == "$word"* ]] && COMPREPLY+=("${prefix#"$cut"}$name")
    done
}

_pyinit_value() { # OPTION PREFIX WORD: replies with values of the option
    local word=$3 prefix=$2
    case $1 in
@VALUES@
    *)
        return ;;
    esac
}

_pyinit_signals() { # PREFIX WORD: names of signals, with SIG in front where WORD has it
    local rest=${2##*[,:]}
    local before=$1${2%"$rest"} names='@SIGNALS@'
    [[ $rest == SIG* ]] && names=SIG${names// / SIG}
    # shellcheck disable=SC2086
    _pyinit_reply "$before" "$rest" $names
}

_pyinit_files() { # PREFIX WORD
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    # shellcheck disable=SC2046
    _pyinit_reply "$1" "$2" $(compgen -f -- "$2")
}

_pyinit() {
    local words=() starts=() i=0 word glue='' awaits='' command=0 letters
    COMPREPLY=()
    # Bash takes = and : for words of their own: put those together again.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 1)) && [[ $glue || $word == [=:]* ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
            starts+=("$i")
        fi
        glue=
        [[ $word == *[=:] ]] && glue=yes
    done
    local last=$((${#words[@]} - 1))
    local cur=${words[last]}
    for ((i = 1; i < last; i++)); do
        word=${words[i]}
        if [[ $awaits ]]; then
            awaits=
            continue
        fi
        case $word in
        --)
            command=$((i + 1))
            break ;;
        @LONG_WITH_VALUE@)
            awaits=$word ;;
        --*) ;;
        -?*)
            for ((letters = 1; letters < ${#word}; letters++)); do
                case ${word:letters:1} in
                [@SHORT_WITH_VALUE@])
                    ((letters + 1 == ${#word})) && awaits=-${word:letters:1}
                    break ;;
                esac
            done ;;
        *)
            command=$i
            break ;;
        esac
    done
    if ((command)) || [[ ! $awaits && $cur != -* ]]; then
        ((command)) || command=$last
        if declare -F _command_offset >/dev/null; then
            _command_offset "${starts[command]}"
        elif ((command == last)); then
            local IFS=$'\n'
            # shellcheck disable=SC2207
            COMPREPLY=($(compgen -c -- "$cur"))
        else
            _pyinit_files '' "$cur"
        fi
    elif [[ $awaits ]]; then
        _pyinit_value "$awaits" '' "$cur"
    elif [[ $cur == --*=* ]]; then
        _pyinit_value "${cur%%=*}" "${cur%%=*}=" "${cur#*=}"
    else
        _pyinit_reply '' "$cur" @OPTIONS@
    fi
}

complete -F _pyinit pyinit
"""


def bash(table: Sequence[Option]) -> str:
    """Return the completion for bash, with or without the package bash-completion."""
    cases = []
    for option in table:
        if option.takes_value or option.kind == "report":
            names = "|".join(labels(option))
            if option.kind in PATHS:
                cases.append(f'    {names})\n        _pyinit_files "$prefix" "$word" ;;')
            elif option.choices:
                cases.append(f'    {names})\n        _pyinit_reply "$prefix" "$word" {" ".join(option.choices)} ;;')
            elif _takes_signals(option):
                cases.append(f'    {names})\n        _pyinit_signals "$prefix" "$word" ;;')
            elif usage.names_for(option):
                known = " ".join(_begun(option))
                nospace = "        compopt -o nospace\n" * _goes_on(option)
                cases.append(f'    {names})\n{nospace}        _pyinit_reply "$prefix" "$word" {known} ;;')
    long = [f"--{option.name}" for option in table if option.takes_value]
    every = [label for option in table for label in labels(option) if label.startswith("--")]
    filled = {
        "VALUES": "\n".join(cases),
        "SIGNALS": " ".join(usage.NAMES["signal"]),
        "LONG_WITH_VALUE": " | ".join(long),
        "SHORT_WITH_VALUE": "".join([option.short for option in table if option.takes_value]),
        "OPTIONS": " ".join(every),
    }
    return _filled(f"{MADE}\n" + BASH, filled)


ZSH = r"""
_pyinit_signals() { # the name of a signal, behind those that stand there already
    local -a signals=(@SIGNALS@)
    compset -P '*[,:]'
    compset -P SIG
    compadd -S '' -a signals
}

_pyinit() {
    _arguments -s -S -A '-*' \
@SPECS@
        '(-):command:_command_names -e' \
        '*::argument:_normal'
}

_pyinit "$@"
"""


def zsh(table: Sequence[Option]) -> str:
    """Return the completion for zsh: a function for its folder of functions."""
    specs = []
    for option in table:
        text = _zsh_quoted(text_of(option, table))
        action = ""
        if option.takes_value:
            action = f":{_zsh_quoted(option.metavar)}:{_zsh_action(option)}"
        for label in labels(option):
            suffix = ("=" if label.startswith("--") else "+") if option.takes_value else ""
            again = "*" if option.repeatable else ""
            alone = "(- *)" if option.kind == "action" else ""
            specs.append(f"        '{alone}{again}{label}{suffix}[{text}]{action}' \\")
        if option.kind == "report":
            specs.append(f"        '--{option.name}=-[{text}]:form:({' '.join(option.choices)})' \\")
    return _filled(
        f"#compdef pyinit\n{MADE}\n" + ZSH, {"SPECS": "\n".join(specs), "SIGNALS": " ".join(usage.NAMES["signal"])}
    )


def _zsh_action(option: Option) -> str:
    if option.kind in PATHS:
        return "_files"
    if option.choices:
        return f"({' '.join(option.choices)})"
    if _takes_signals(option):
        return "_pyinit_signals"
    known = " ".join(_begun(option))
    return (f'{{compadd -S "" - {known}}}' if _goes_on(option) else f"({known})") if known else " "


def _zsh_quoted(text: str) -> str:
    for character in "\\[]:":
        text = text.replace(character, "\\" + character)
    return text.replace("'", "'\\''")


FISH = r"""
function __pyinit_before_command --description 'No word of the command line is the command yet'
    set -l tokens (commandline -opc)
    set -e tokens[1]
    set -l awaits no
    for token in $tokens
        if test $awaits = yes
            set awaits no
            continue
        end
        switch $token
            case --
                return 1
            case @WITH_VALUE@
                set awaits yes
            case '-*'
            case '*'
                return 1
        end
    end
    return 0
end

function __pyinit_signals --description 'Names of signals, behind those that stand there already'
    set -l before (string match -r '^.*[,:]' -- (commandline -ct | string replace -r '^-[^=]*=' ''))
    if string match -qr '(^|[=,:])SIG[^,:]*$' -- (commandline -ct)
        printf '%s\n' "$before"SIG@SIGNALS@
    else
        printf '%s\n' "$before"@SIGNALS@
    end
end

complete -c pyinit -x -a '(__fish_complete_subcommand - @FCS@)'
"""


def fish(table: Sequence[Option]) -> str:
    """Return the completion for fish."""
    names = [label for option in table if option.takes_value for label in labels(option)]
    lines = []
    for option in table:
        told, other = usage.long_name(option), f"no-{option.name}"
        other = option.name if told == other else other  # a switch that is on anyway
        words = ["complete -c pyinit -n __pyinit_before_command"]
        if option.name:
            words.append(f"-l {told}")
        words += [f"-s {letter}" for letter in option.short]
        if option.takes_value:
            words += _fish_value(option)
        elif option.kind == "report":
            words += ["-f", f"-a {_fish_quoted(' '.join(option.choices))}"]
        else:
            words.append("-f")
        text = _fish_quoted(text_of(option, table))
        lines.append(" ".join([*words, "-d", text]))
        if option.kind == "switch":
            lines.append(f"complete -c pyinit -n __pyinit_before_command -l {other} -f -d 'not so'")
    filled = {
        "WITH_VALUE": " ".join(names),
        "FCS": " ".join(names),
        "SIGNALS": "{" + ",".join(usage.NAMES["signal"]) + "}",
    }
    return _filled(f"{MADE}\n" + FISH, filled) + "\n".join(lines) + "\n"


def _fish_value(option: Option) -> list[str]:
    if option.kind in PATHS:
        return ["-r", "-F"]
    if option.choices:
        return ["-x", f"-a {_fish_quoted(' '.join(option.choices))}"]
    if _takes_signals(option):
        return ["-x", "-a '(__pyinit_signals)'"]
    known = _begun(option)
    return ["-x", *([f"-a {_fish_quoted(' '.join(known))}"] if known else [])]


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _goes_on(option: Option) -> bool:
    """Say whether a name is not yet a value: NOFILE=."""
    return "=" in option.metavar


def _begun(option: Option) -> list[str]:
    """Return what values of the option begin with; several of them, and `all` and `none`, are for people to write."""
    more = ["all"] if option.kind == "capabilities" else []
    return [name + "=" * _goes_on(option) for name in (*more, *usage.names_for(option))]


def _takes_signals(option: Option) -> bool:
    return bool(usage.names_for(option)) and usage.names_for(option) == usage.NAMES["signal"]


def _filled(template: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template.replace("\n\n\n", "\n\n")
