"""The generator's settings, with the misspelt and the useless ones refused."""

from __future__ import annotations

from pathlib import Path

from openapi_python_client.config import ClassOverride, ConfigFile
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tools.generate.document import GenerationError

# The settings of openapi-python-client that this project's templates honour.
_SETTINGS = {
    "class_overrides",
    "content_type_overrides",
    "field_prefix",
    "generate_all_tags",
    "http_timeout",
    "post_hooks",
    "use_path_prefixes_for_title_model_names",
}


def load_settings(path: Path) -> ConfigFile:
    """Read generator-config.yml.

    Args:
        path: The file.

    Returns:
        The settings.

    Raises:
        GenerationError: The file can't be read, or holds a setting that does not exist, has no
            effect on this project's templates, or has a value that can't be.
    """
    try:
        settings = YAML(typ="safe").load(path.read_bytes())
    except OSError as error:
        raise GenerationError(f"{path} can't be read: {error.strerror}.") from error
    except YAMLError as error:
        raise GenerationError(f"{path} is not YAML: {error}") from error
    if not isinstance(settings, dict):
        raise GenerationError(f"{path} holds no settings.")
    # The generator passes over what it does not know, a misspelt setting included.
    unknown = sorted(settings.keys() - _SETTINGS)
    overrides = settings.get("class_overrides")
    for override in overrides.values() if isinstance(overrides, dict) else ():
        unknown += sorted(dict(override or {}).keys() - ClassOverride.model_fields.keys())
    if unknown:
        raise GenerationError(
            f"{path} has settings that do not exist or have no effect here: {', '.join(unknown)}."
        )
    try:
        return ConfigFile.model_validate(settings)
    except ValidationError as error:
        raise GenerationError(f"{path} has settings that can't be: {error}") from error
