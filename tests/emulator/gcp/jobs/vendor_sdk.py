"""What `test_vendor_sdk` runs: google.cloud.aiplatform's CustomJob as its users write it."""

from __future__ import annotations

import json
import os
import time

from google.cloud import aiplatform

known = json.loads(os.environ["EMULATOR"])
aiplatform.init(
    project=known["project"],
    location=known["region"],
    api_endpoint=known["api_endpoint"],
    staging_bucket=f"gs://{known['bucket']}/artefacts",
)
TRAIN = """
import os
from google.cloud import storage
bucket, _, prefix = os.environ["AIP_MODEL_DIR"][len("gs://"):].partition("/")
storage.Client().bucket(bucket).blob(prefix + "model.txt").upload_from_string("trained")
"""


def job(name: str, code: str) -> aiplatform.CustomJob:
    return aiplatform.CustomJob(
        display_name=name,
        worker_pool_specs=[
            {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {"image_uri": known["image"], "command": ["python3", "-c", code]},
            }
        ],
        base_output_dir=f"gs://{known['bucket']}/artefacts/{name}",
        labels={"made": "by-the-sdk"},
    )


short = job("short", TRAIN)
short.run(service_account=known["account"], sync=True)
long = job("long", "import time; time.sleep(100)")
long.submit(service_account=known["account"])
while long.state.name != "JOB_STATE_RUNNING":
    time.sleep(0.1)
long.cancel()
while long.state.name != "JOB_STATE_CANCELLED":
    time.sleep(0.1)
fails = job("fails", "raise SystemExit(4)")
try:
    fails.run(service_account=known["account"], timeout=60, restart_job_on_worker_restart=True)
    failure = ""
except RuntimeError as error:
    failure = str(error)
listed = aiplatform.CustomJob.list(filter='labels.made="by-the-sdk"')
told = {
    "states": [short.state.name, long.state.name],
    "failure": failure,
    "listed": sorted(each.display_name for each in listed),
}
for each in listed:
    each.delete()
told["left"] = [each.display_name for each in aiplatform.CustomJob.list()]
print(json.dumps(told))  # noqa: T201  what the test reads
