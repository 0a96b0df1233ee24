"""One job for one piece of work, however often and from wherever it is submitted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlinfra.contract.jobs import Artefact
from mlinfra.engine.identity import digest
from mlinfra.engine.prepare import LocalInput, Prepared, RemoteInput, wheels_prefix
from mlinfra.engine.submissions import Submitted, bundle_key, job_procedure, keep, start
from mlinfra.engine.track import attempts
from mlinfra.engine.transfer import upload_file, upload_tree
from mlinfra.errors import KitFault, NotFound
from mlinfra.package import fetch_wheels, tree_digest

if TYPE_CHECKING:
    from mlinfra.contract.jobs import JobObservation
    from mlinfra.contract.store import Store
    from mlinfra.engine.session import Session

_MOST_HIDDEN_ATTEMPTS = 5  # ended attempts that a lagging list may not have shown


@dataclass(frozen=True)
class Submission:
    """What came of a submission. `follow_ups` are due when the job has ended."""

    id: str
    job: JobObservation
    reused: bool
    follow_ups: tuple[str, ...] = ()


def submit(session: Session, prepared: Prepared) -> Submission:
    """Start the work, unless it is under way or done already.

    Safe to repeat and to run twice at once: a queued, running or succeeded job of the same work is returned; after
    a failure, a stop or a deletion the next attempt begins.

    Raises:
        WrongAccount: nothing was sent.
        NotFound: there is nothing under a remote input's address.
        TemporaryError: run the same command again; it goes on from where it stands.
    """
    prepared = pin(session, prepared)
    work_id = prepared.work(session.environment).id
    earlier = [] if _is_new_here(session, work_id) else attempts(session, work_id)
    reusable = [job for job in earlier if job.state.reusable]
    if reusable:
        return Submission(work_id, reusable[-1], reused=True, follow_ups=_open(session, work_id))
    session.verify_account()
    submitted = _upload(session, prepared, work_id)
    keep(session, submitted)
    return _start_next(session, submitted, max((job.attempt for job in earlier), default=0))


def _is_new_here(session: Session, work_id: str) -> bool:
    """Whether to ask for the job without looking first: nothing is known of it here, and one that is there answers."""
    return session.adapter.names_jobs and not session.journal.knows(session.environment.id, job_procedure(work_id, 1))


def _start_next(session: Session, submitted: Submitted, last: int) -> Submission:
    """Begin the attempt after the last one that is known, or after those that turn out to have ended."""
    due = submitted.follow_ups(session.adapter.capabilities)
    for _ in range(_MOST_HIDDEN_ATTEMPTS):
        job = start(session, submitted, last + 1)
        if job.state.reusable:
            there_before = job.existed or job.state.terminal  # what has just begun has not ended
            return Submission(submitted.id, job, reused=there_before, follow_ups=due)
        there = attempts(session, submitted.id)
        reusable = [job for job in there if job.state.reusable]
        if reusable:
            return Submission(submitted.id, reusable[-1], reused=True, follow_ups=_open(session, submitted.id))
        last = max([last + 1, *(job.attempt for job in there)])
    raise KitFault(f"{submitted.spec.name}: {_MOST_HIDDEN_ATTEMPTS} attempts were there already and had all ended")


def pin(session: Session, prepared: Prepared) -> Prepared:
    """Ask the stores for the versions of inputs that the spec leaves open.

    Raises:
        NotFound: there is nothing under an input's address.
    """
    store = session.store()
    pinned = {
        name: _pin(store, each) if isinstance(each, RemoteInput) and not each.version else each
        for name, each in prepared.inputs.items()
    }
    return replace(prepared, inputs=pinned)


def _pin(store: Store, remote: RemoteInput) -> RemoteInput:
    """A single object by its etag; a folder by the listing of key, etag and size."""
    key = store.key(remote.uri)
    single = store.head(key)
    if single is not None:
        return replace(remote, uri=store.uri(key), version=single.etag)
    listing = [[info.key, info.etag, info.size] for info in store.list(f"{key.rstrip('/')}/")]
    if not listing:
        raise NotFound("there is nothing under this input's address", given=remote.uri)
    return replace(remote, uri=store.uri(key), version=digest(listing), is_folder=True)


def _upload(session: Session, prepared: Prepared, work_id: str) -> Submitted:
    bundle = prepared.bundle
    return Submitted(
        id=work_id,
        spec=prepared.spec,
        code=bundle.code_digest,
        bundle=upload_file(session, bundle.path, bundle_key(bundle.digest), bundle.digest),
        inputs={name: _upload_input(session, each) for name, each in prepared.inputs.items()},
        lock=prepared.lock.text if prepared.lock else None,
        schemas=prepared.schemas,
        wheels=_upload_wheels(session, prepared),
    )


def _upload_wheels(session: Session, prepared: Prepared) -> Artefact | None:
    """The packages of a job that will have no index to ask."""
    if prepared.lock is None or not prepared.wheels_for:
        return None
    cache = session.folders.cache
    index = session.environment.python_index or None
    folder = fetch_wheels(prepared.lock, prepared.wheels_for, cache=cache, index=index)
    prefix = wheels_prefix(prepared.lock, prepared.wheels_for)
    return upload_tree(session, folder, prefix, tree_digest(folder, cache).digest)


def _upload_input(session: Session, each: LocalInput | RemoteInput) -> Artefact:
    if isinstance(each, RemoteInput):
        return Artefact(each.uri, is_folder=each.is_folder)
    upload = upload_tree if each.is_folder else upload_file
    return upload(session, each.path, each.key, each.digest)


def _open(session: Session, work_id: str) -> tuple[str, ...]:
    return tuple(owed.kind for owed in session.journal.follow_ups(session.environment.id, work_id))
