"""Puts an exported folder on the Hub: a new repository of a model, private unless asked otherwise.

Nothing is sent before the caller has agreed to a plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from engine.errors import UsageError, UserError, WriteError
from engine.models import HUB_ID

HTTP_CLIENTS = ("httpx", "httpcore", "requests", "urllib3", "httpx2", "httpcore2")
"""Modules of the HTTP clients that huggingface_hub has used; their errors mean that the Hub can't be reached."""
FIRST_FILES = frozenset({".gitattributes", ".gitignore", "README.md"})


@dataclass(frozen=True)
class Target:
    """A repository to be made on the Hub at `endpoint`, by whoever `token` belongs to."""

    name: str
    endpoint: str
    public: bool
    token: str

    def __repr__(self) -> str:
        return f"Target({self.name!r}, {self.endpoint!r}, public={self.public})"

    @property
    def described(self) -> str:
        """For example `https://huggingface.co/me/my-model (private)`."""
        return f"{self.endpoint}/{self.name} ({'public: anyone can read it' if self.public else 'private'})"


def hub_target(name: str, *, public: bool) -> Target:
    """Where `name` (`my-model` or `owner/my-model`) goes; asks no network. Raises UsageError for a name that the Hub
    does not allow, and where there is no token."""
    from huggingface_hub import constants, get_token

    if not HUB_ID.fullmatch(name) or "--" in name or ".." in name or name.endswith((".git", "-", ".")):
        raise UsageError(
            f"{name}: not a name that the Hub gives to models.",
            hint="OWNER/MODEL: letters, digits, `-`, `_` and `.`; no `--` or `..`.",
        )
    token = get_token()
    if token is None:
        raise UsageError(
            "there is no token for the Hub.",
            hint="Log in with `hf auth login`, or set HF_TOKEN to a token that may write.",
        )
    return Target(name, constants.ENDPOINT, public, token)


def plan(folder: Path, target: Target) -> list[str]:
    """What leaves this machine and where to, a line each."""
    files = [(file.relative_to(folder), file.stat().st_size) for file in sorted(folder.rglob("*")) if file.is_file()]
    return [
        f"These {len(files)} files ({sum(size for _, size in files):,} bytes) would be sent to {target.described}:",
        *(f"  {name} ({size:,} bytes)" for name, size in files),
    ]


def push(folder: Path, target: Target, *, message: str) -> str:
    """Make the repository and upload every file of `folder`; returns its address.

    A repository of that name is used where it holds no model yet and is as private as asked. Raises UsageError where
    the token may not, WriteError where the name is taken or the Hub can't be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=target.token)
    name = target.name
    try:
        try:
            name = api.create_repo(target.name, private=not target.public).repo_id
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
            if "/" not in name:
                name = f"{api.whoami()['name']}/{name}"
            _check_unused(api.model_info(name), target)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message=message)
    except UserError:
        raise
    except Exception as error:  # the Hub's, the system's, or those of the HTTP client, which depends on the version
        _explain(error, target)
    return f"{target.endpoint}/{name}"


def _check_unused(info: object, target: Target) -> None:
    files = {file.rfilename for file in getattr(info, "siblings", None) or ()}
    if files - FIRST_FILES:
        raise WriteError(
            f"{target.name}: the Hub has a model of that name already.", hint="Choose another; nothing is overwritten."
        )
    if not getattr(info, "private", False) and not target.public:
        raise WriteError(
            f"{target.name}: the Hub has an empty repository of that name, and it is public.",
            hint="Choose another name, or --public.",
        )


def _explain(error: Exception, target: Target) -> NoReturn:
    """Raise what `error` means to a user; an error that is none of the Hub's or the network's goes on as it is."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            raise UsageError(
                f"{target.name}: the Hub does not let this token do that ({status}: {_reason(error)}).",
                hint="Use a token that may write for this owner: `hf auth login`, or HF_TOKEN.",
            ) from None
        raise WriteError(
            f"{target.name}: the Hub refused it ({status}: {_reason(error)}).",
            hint="Export again with the same name later.",
        ) from None
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in HTTP_CLIENTS:
        raise WriteError(
            f"{target.endpoint}: the Hub can't be reached ({_first_line(error)}).",
            hint="Connect to the network, or export a folder with -o DIR and upload that later.",
        ) from None
    raise error


def _reason(error: Exception) -> str:
    return str(getattr(error, "server_message", None) or _first_line(error))[:200]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
