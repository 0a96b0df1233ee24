"""The vendor's SDK as its users write it, in a process of its own: a run of ModelTrainer, and TrainingJob's verbs.

Arguments: the execution role, the folder of the training script, the address of the training data, a file for the
answer, a JSON document. Every other thing is told by environment variables, which `emulator env` prints.
"""

import json
import logging
import sys
import time
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import TrainingJob
from sagemaker.core.shapes import AlgorithmSpecification, OutputDataConfig, ResourceConfig, StoppingCondition
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode

ROLE, SOURCE, DATA, ANSWER = sys.argv[1:]
logging.basicConfig(level=logging.INFO)
BUCKET = DATA.removeprefix("s3://").partition("/")[0]
IMAGE = image_uris.retrieve(
    "sklearn", "eu-west-1", version="1.9-0", instance_type="ml.m5.large", image_scope="training"
)


def model_trainer():
    """A scikit-learn script, with hyperparameters and a channel."""
    trainer = ModelTrainer(
        training_image=IMAGE,
        role=ROLE,
        sagemaker_session=Session(default_bucket=BUCKET, default_bucket_prefix="artefacts"),
        base_job_name="credit",
        source_code=SourceCode(source_dir=SOURCE, entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=10),
        hyperparameters={"depth": 3},
    )
    trainer.train(input_data_config=[InputData(channel_name="train", data_source=DATA)], wait=True, logs=True)
    job = trainer._latest_training_job
    return {
        "name": job.training_job_name,
        "status": job.training_job_status,
        "model": job.model_artifacts.s3_model_artifacts,
    }


def resource():
    """Create, get, refresh, wait, stop, delete."""

    def create(name, code):
        return TrainingJob.create(
            training_job_name=name,
            role_arn=ROLE,
            algorithm_specification=AlgorithmSpecification(
                training_image=IMAGE, training_input_mode="File", container_entrypoint=["python3", "-c", code]
            ),
            output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/artefacts/sdk"),
            resource_config=ResourceConfig(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=10),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
        )

    waited = create("sdk-waited", "print('hello')")
    waited.wait(poll=1)
    stopped = create("sdk-stopped", "import time; time.sleep(600)")
    while TrainingJob.get("sdk-stopped").secondary_status != "Training":
        time.sleep(0.1)
    stopped.stop()
    stopped.wait(poll=1)
    known = sorted(job.training_job_name for job in TrainingJob.get_all(name_contains="sdk-"))
    waited.delete()
    waited.wait_for_delete(poll=1)
    left = sorted(job.training_job_name for job in TrainingJob.get_all(name_contains="sdk-"))
    return {
        "waited": waited.training_job_status,
        "stopped": [stopped.training_job_status, stopped.refresh().secondary_status],
        "known": known,
        "left": left,
    }


Path(ANSWER).write_text(json.dumps({"resource": resource(), "trainer": model_trainer()}))
