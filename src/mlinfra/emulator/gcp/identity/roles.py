"""Roles of Google Cloud and the permissions that they hold, as far as anything here asks for them.

Source: the vendor's reference of predefined roles and permissions, from memory of it; patterns stand for long lists.
"""

from __future__ import annotations

_OBJECT_USER = (
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.list",
    "storage.objects.update",
    "storage.multipartUploads.*",
    "storage.folders.*",
)

ROLES: dict[str, tuple[str, ...]] = {
    "roles/owner": ("*",),
    "roles/editor": ("*",),
    "roles/viewer": ("*.get", "*.list"),
    "roles/aiplatform.admin": ("aiplatform.*",),
    "roles/aiplatform.user": (
        "aiplatform.customJobs.*",
        "aiplatform.endpoints.*",
        "aiplatform.models.*",
        "aiplatform.locations.*",
        "aiplatform.operations.*",
        "aiplatform.deploymentResourcePools.*",
        "aiplatform.tensorboard*",
        "aiplatform.metadataStores.*",
        "aiplatform.contexts.*",
        "aiplatform.executions.*",
        "aiplatform.artifacts.*",
    ),
    "roles/aiplatform.viewer": ("aiplatform.*.get", "aiplatform.*.list"),
    "roles/aiplatform.serviceAgent": (
        *_OBJECT_USER,
        "storage.buckets.get",
        "artifactregistry.repositories.downloadArtifacts",
        "iam.serviceAccounts.getAccessToken",
        "logging.logEntries.create",
        "monitoring.timeSeries.create",
        "bigquery.*",
    ),
    "roles/aiplatform.customCodeServiceAgent": (
        *_OBJECT_USER,
        "storage.buckets.get",
        "artifactregistry.repositories.downloadArtifacts",
        "logging.logEntries.create",
        "monitoring.timeSeries.create",
        "aiplatform.*",
        "bigquery.*",
    ),
    "roles/aiplatform.endpointUser": ("aiplatform.endpoints.get", "aiplatform.endpoints.predict"),
    "roles/storage.admin": ("storage.*",),
    "roles/storage.objectAdmin": (*_OBJECT_USER, "storage.objects.getIamPolicy", "storage.objects.setIamPolicy"),
    "roles/storage.objectUser": _OBJECT_USER,
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list"),
    "roles/storage.objectCreator": ("storage.objects.create", "storage.multipartUploads.*", "storage.folders.create"),
    "roles/storage.legacyBucketReader": ("storage.buckets.get", "storage.objects.list"),
    "roles/storage.bucketViewer": ("storage.buckets.get", "storage.buckets.list"),
    "roles/iam.serviceAccountUser": (
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
    ),
    "roles/iam.serviceAccountTokenCreator": ("iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.signBlob"),
    "roles/iam.securityReviewer": ("*.getIamPolicy", "*.list"),
    "roles/browser": ("resourcemanager.projects.get",),
    "roles/logging.viewer": ("logging.logEntries.list", "logging.logs.list"),
    "roles/logging.privateLogViewer": (
        "logging.logEntries.list",
        "logging.logs.list",
        "logging.privateLogEntries.list",
    ),
    "roles/logging.logWriter": ("logging.logEntries.create", "logging.logEntries.route"),
    "roles/monitoring.viewer": ("monitoring.timeSeries.list", "monitoring.metricDescriptors.*"),
    "roles/monitoring.metricWriter": ("monitoring.timeSeries.create", "monitoring.metricDescriptors.*"),
    "roles/monitoring.editor": ("monitoring.*",),
    "roles/artifactregistry.reader": (
        "artifactregistry.dockerimages.*",
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.get",
        "artifactregistry.repositories.list",
    ),
    "roles/artifactregistry.writer": (
        "artifactregistry.dockerimages.*",
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.uploadArtifacts",
        "artifactregistry.repositories.get",
        "artifactregistry.repositories.list",
        "artifactregistry.tags.*",
        "artifactregistry.versions.*",
    ),
    "roles/secretmanager.secretAccessor": ("secretmanager.versions.access",),
    "roles/cloudkms.cryptoKeyEncrypterDecrypter": ("cloudkms.cryptoKeyVersions.useTo*",),
    "roles/serviceusage.serviceUsageConsumer": ("serviceusage.services.use", "serviceusage.quotas.get"),
}
