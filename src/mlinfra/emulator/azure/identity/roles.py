"""Built-in roles of Azure and the permissions that they hold, as far as anything here asks for them.

Source: the vendor's reference "Azure built-in roles", from memory of it.
"""

from __future__ import annotations

from dataclasses import dataclass

# Permissions on data, which no role's `actions` reach, whatever pattern they are written with.
DATA_ACTIONS = (
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*",
    "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    "Microsoft.KeyVault/vaults/secrets/setSecret/action",
    "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
    "Microsoft.ContainerRegistry/registries/repositories/*",
)


@dataclass(frozen=True)
class Role:
    """What a role holds: patterns with `*`."""

    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ("/",)  # where it may be assigned
    custom: bool = False
    description: str = ""


_ML = "Microsoft.MachineLearningServices"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices"
_CONTAINERS = f"{_BLOBS}/containers"
_SUPPORT = ("Microsoft.Resources/subscriptions/resourceGroups/read", "Microsoft.Authorization/*/read")

BUILT_IN: dict[str, Role] = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": Role("Owner", ("*",)),
    "b24988ac-6180-42a0-ab88-20f7382dd24c": Role(
        "Contributor",
        ("*",),
        (
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ),
    ),
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": Role("Reader", ("*/read",)),
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": Role("User Access Administrator", ("*/read", "Microsoft.Authorization/*")),
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": Role(
        "Role Based Access Control Administrator",
        ("*/read", "Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"),
    ),
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": Role(
        "AzureML Data Scientist",
        (
            f"{_ML}/workspaces/*/read",
            f"{_ML}/workspaces/*/action",
            f"{_ML}/workspaces/*/delete",
            f"{_ML}/workspaces/*/write",
            f"{_ML}/workspaces/read",
        ),
        (
            f"{_ML}/workspaces/delete",
            f"{_ML}/workspaces/write",
            f"{_ML}/workspaces/computes/*/write",
            f"{_ML}/workspaces/computes/*/delete",
            f"{_ML}/workspaces/computes/listKeys/action",
            f"{_ML}/workspaces/listKeys/action",
            f"{_ML}/workspaces/hubs/write",
            f"{_ML}/workspaces/hubs/delete",
            f"{_ML}/workspaces/featurestores/write",
            f"{_ML}/workspaces/featurestores/delete",
        ),
    ),
    "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815": Role(
        "AzureML Compute Operator", (f"{_ML}/workspaces/computes/*", f"{_ML}/workspaces/notebooks/vm/*")
    ),
    "635dd51f-9968-44d3-b7fb-6d9a6bd613ae": Role(
        "AzureML Metrics Writer (preview)", (f"{_ML}/workspaces/metrics/*/write",)
    ),
    "1823dd4f-9b8c-4ab6-ab4e-7397a3684615": Role(
        "AzureML Registry User", (f"{_ML}/registries/read", f"{_ML}/registries/assets/*")
    ),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": Role(
        "Storage Blob Data Reader",
        (f"{_CONTAINERS}/read", f"{_BLOBS}/generateUserDelegationKey/action"),
        (),
        (f"{_CONTAINERS}/blobs/read",),
    ),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": Role(
        "Storage Blob Data Contributor",
        (
            f"{_CONTAINERS}/delete",
            f"{_CONTAINERS}/read",
            f"{_CONTAINERS}/write",
            f"{_BLOBS}/generateUserDelegationKey/action",
        ),
        (),
        tuple(f"{_CONTAINERS}/blobs/{verb}" for verb in ("delete", "read", "write", "move/action", "add/action")),
    ),
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": Role(
        "Storage Blob Data Owner",
        (f"{_CONTAINERS}/*", f"{_BLOBS}/generateUserDelegationKey/action"),
        (),
        (f"{_CONTAINERS}/blobs/*",),
    ),
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": Role("AcrPull", ("Microsoft.ContainerRegistry/registries/pull/read",)),
    "8311e382-0749-4cb8-b61a-304f252e45ec": Role(
        "AcrPush",
        ("Microsoft.ContainerRegistry/registries/pull/read", "Microsoft.ContainerRegistry/registries/push/write"),
    ),
    "e147488a-f6f5-4113-8e2d-b22465e65bf6": Role(
        "Key Vault Crypto Service Encryption User",
        ("Microsoft.EventGrid/eventSubscriptions/delete", "Microsoft.EventGrid/eventSubscriptions/read"),
        (),
        tuple(f"Microsoft.KeyVault/vaults/keys/{each}" for each in ("read", "unwrap/action", "wrap/action")),
    ),
    "4633458b-17de-408a-b874-0445c86b69e6": Role(
        "Key Vault Secrets User",
        (),
        (),
        (
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ),
    ),
    "43d0d8ad-25c7-4714-9337-8ba259a9fe05": Role("Monitoring Reader", ("*/read",)),
    "749f88d5-cbae-40b8-bcfc-e573ddc772fa": Role(
        "Monitoring Contributor",
        (
            "*/read",
            "Microsoft.Insights/MetricAlerts/*",
            "Microsoft.Insights/AutoscaleSettings/*",
            "Microsoft.Insights/Metrics/*",
            "Microsoft.Insights/DiagnosticSettings/*",
            "Microsoft.Insights/ActionGroups/*",
        ),
    ),
    "f1a07417-d97a-45cb-824c-7a7467783830": Role(
        "Managed Identity Operator",
        (
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            *_SUPPORT,
        ),
    ),
}


def guid(name: str) -> str:
    """The id of the built-in role of that name. KeyError where none is known here."""
    return next(key for key, role in BUILT_IN.items() if role.name == name)
