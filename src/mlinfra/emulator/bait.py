"""Credentials that look real and belong to nobody, where every vendor's client looks for them.

With them lying about, a client that falls back to its defaults tries to use them, and is seen.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY_ID = "AKIAIOSFODNN7EXAMPLE"  # both from AWS's own documentation
_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105  see above
_TENANT = "5a1e7d3c-8c2b-4f6e-9d0a-3b7f2c4e6a18"
_SUBSCRIPTION = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
_CLIENT = "9d2b0228-4d0d-4c23-8b49-01a698857709"

_AWS_CREDENTIALS = f"[default]\naws_access_key_id = {_KEY_ID}\naws_secret_access_key = {_SECRET}\n"
_AWS_CONFIG = "[default]\nregion = us-east-1\nrole_session_name = work\n"
_GOOGLE = {
    "type": "authorized_user",
    "client_id": "123456789012-planted.apps.googleusercontent.com",
    "client_secret": "planted-client-secret",
    "refresh_token": "1//0planted-refresh-token",
    "quota_project_id": "planted-project",
}
_AZURE_PROFILE = {
    "subscriptions": [
        {
            "id": _SUBSCRIPTION,
            "name": "Production",
            "state": "Enabled",
            "user": {"name": "somebody@example.com", "type": "user"},
            "isDefault": True,
            "tenantId": _TENANT,
            "environmentName": "AzureCloud",
        }
    ]
}
_AZURE_TOKENS = {
    "RefreshToken": {
        "planted": {
            "home_account_id": f"{_CLIENT}.{_TENANT}",
            "environment": "login.microsoftonline.com",
            "credential_type": "RefreshToken",
            "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
            "secret": "0.planted-refresh-token",
        }
    }
}
_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "prod", "cluster": {"server": "https://203.0.113.10:6443"}}],
    "users": [{"name": "admin", "user": {"token": "planted-token"}}],
    "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "admin"}}],
    "current-context": "prod",
}
_FILES = {
    ".aws/credentials": _AWS_CREDENTIALS,
    ".aws/config": _AWS_CONFIG,
    ".config/gcloud/application_default_credentials.json": json.dumps(_GOOGLE),
    ".azure/azureProfile.json": json.dumps(_AZURE_PROFILE),
    ".azure/msal_token_cache.json": json.dumps(_AZURE_TOKENS),
    ".kube/config": json.dumps(_KUBECONFIG),
    ".pulumi/credentials.json": json.dumps({"current": "https://api.pulumi.com", "accessTokens": {}}),
}


def plant(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Write the files below a home folder and return the variables that go with them.

    `environ` tells where the caches of packages are, which stay in use.
    """
    for name, text in _FILES.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    google = str(home / ".config/gcloud/application_default_credentials.json")
    caches = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/") / ".cache")
    return {
        "HOME": str(home),
        "UV_CACHE_DIR": environ.get("UV_CACHE_DIR") or str(caches / "uv"),
        "AWS_ACCESS_KEY_ID": _KEY_ID,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AZURE_TENANT_ID": _TENANT,
        "AZURE_CLIENT_ID": _CLIENT,
        "AZURE_CLIENT_SECRET": "planted~client~secret",
        "AZURE_SUBSCRIPTION_ID": _SUBSCRIPTION,
        "ARM_TENANT_ID": _TENANT,
        "ARM_CLIENT_ID": _CLIENT,
        "ARM_CLIENT_SECRET": "planted~client~secret",
        "ARM_SUBSCRIPTION_ID": _SUBSCRIPTION,
        "GOOGLE_APPLICATION_CREDENTIALS": google,
        "GOOGLE_CLOUD_PROJECT": "planted-project",
        "CLOUDSDK_CORE_PROJECT": "planted-project",
        "KUBECONFIG": str(home / ".kube/config"),
        "PULUMI_ACCESS_TOKEN": "pul-planted0000000000000000000000000000000",
    }
