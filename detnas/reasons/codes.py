"""Every reason of a condition or event, with severity, static message and documentation.

The text below a member is its row in docs/operator.md, which `python -m tools.reason_tables`
writes: what it means, and after `Do:` what to do. Severity falls from what keeps a Job from having
pods to what keeps a pod from starting.
"""

from detnas.reasons.categories import NEEDS_ATTENTION, Category, Documented

_INTERNAL, _EVENT, _HEALTHY = Category.INTERNAL, Category.EVENT, Category.HEALTHY
_WAITING, _JOB, _STOPPED = Category.SELF_RESOLVING, Category.JOB, Category.STOPPED
_INPUTS, _REFUSED = Category.INPUTS, Category.NOT_ACCEPTED

_DATA_FIRST = "the data set is checked first"
_AFTER_TEACHERS = "trials begin once the base and the teachers are trained"
_TRIALS = "{finished} of {trials} trials have finished"
_TEACHERS = "the base and the teachers are being trained"
_COMPARED = "the student is being compared with the base"
_SUSPENDED = (
    "spec.suspend is true: no job is started, and those that ran are stopped with a checkpoint; "
    "set it to false, and each continues from there"
)
_OTHER_TRAINS = (
    "{holder} trains this pool; this search uses it once it is trained, and takes over if that one "
    "stops"
)


class ReasonCode(Documented):
    """The `reason` of a condition (metav1.Condition), of an event, or of a Job that waits."""

    STARTING = "Starting", _INTERNAL
    """pods are created, images are pulled"""
    STOPPING = "Stopping", _INTERNAL
    """another container of a pod is stopped"""

    ACCEPTED = "Accepted", _HEALTHY, 0, "Accepted"
    """the search has its folder in the store"""
    ACCEPTED_WITH_WARNINGS = "AcceptedWithWarnings", _HEALTHY, 0, "Accepted"
    """the search continues, and the message names fields to correct: the data check found too few
    steps or validation images, a warm-up longer than its training, a batch larger than the data
    set, or anchors larger than every object; or an earlier version accepted the search, and it
    reserves GPUs that training does not use"""
    WAITING_FOR_DATA = "WaitingForData", _HEALTHY, 0, "TeachersReady", _DATA_FIRST
    """the data check comes first"""
    TRAINING = "Training", _HEALTHY, 0, "TeachersReady", "{done} of {phases} phases are trained"
    """phases of the pool are being trained"""
    TRAINED = "Trained", _HEALTHY, 0, "TeachersReady"
    """all phases are trained"""
    NOT_STARTED = "NotStarted", _HEALTHY, 0, "Searching", _AFTER_TEACHERS
    """trials begin once base and teachers are trained"""
    TRIALS_RUNNING = "TrialsRunning", _HEALTHY, 0, "Searching", _TRIALS
    """trials run"""
    FINISHED = "Finished", _HEALTHY, 0, "Searching"
    """`search.trials` have finished, or none was better for `search.patience`"""
    NOT_SUSPENDED = "NotSuspended", _HEALTHY, 0, "Suspended", "jobs run as they become due"
    """jobs run as they become due"""
    NOTHING_WRONG = "NothingWrong", _HEALTHY, 0, "Degraded", "nothing needs attention"
    """nothing needs attention"""
    PREPARING = "Preparing", _HEALTHY, 0, "Succeeded", "the data set is being checked"
    """this phase, and nothing blocks it"""
    TRAINING_TEACHERS = "TrainingTeachers", _HEALTHY, 0, "Succeeded", _TEACHERS
    """this phase, and nothing blocks it"""
    SEARCHING = "Searching", _HEALTHY, 0, "Succeeded", _TRIALS
    """this phase, and nothing blocks it"""
    FINE_TUNING = "FineTuning", _HEALTHY, 0, "Succeeded", "the best student is being fine-tuned"
    """this phase, and nothing blocks it"""
    COMPARING = "Comparing", _HEALTHY, 0, "Succeeded", _COMPARED
    """this phase, and nothing blocks it"""
    EXPORTING = "Exporting", _HEALTHY, 0, "Succeeded", "the student is being exported"
    """this phase, and nothing blocks it"""
    EXPORTED = "Exported", _HEALTHY, 0, "Succeeded"
    """what the student has gained, and where it is stored"""
    NO_IMPROVEMENT = "NoImprovement", _HEALTHY, 0, "Succeeded"
    """no student is better than the base: the base itself is exported, and
    `status.exported.isBase` is true. The message names the likely causes that the records show, and
    the fields to change. A student that an earlier version exported stays"""
    NOT_DISTINGUISHABLE = "NotDistinguishable", _HEALTHY, 0, "Succeeded"
    """a student with a better H than the base on the validation images is exported (an upgraded
    one: with a better mAP), but the 95 % interval of the difference, which the message names, is
    not entirely above 0: the images are too few to tell it from the base, or on the test images it
    is worse"""

    SUSPENDED_BY_USER = "SuspendedByUser", _WAITING, 0, None, _SUSPENDED
    """`spec.suspend` is true"""
    WAITING_FOR_POOL = "WaitingForPool", _WAITING, 0, None, _OTHER_TRAINS
    """another search trains this pool; takes over if that one stops for a minute"""
    QUEUED = "Queued", _WAITING, 12
    """Kueue has not admitted the Job, and the message has the conditions of its Workload; or a
    scheduling gate holds the pod back"""
    RETRYING = "Retrying", _WAITING, 11
    """an attempt failed, or its pod was deleted; the next one begins within 10 minutes"""

    NOT_ACCEPTED = "NotAccepted", _REFUSED, 0, None, "the search is not accepted"
    """what the other conditions report of a search that is not accepted
    Do: see the message of `Accepted`"""
    INVALID_SPEC = "InvalidSpec", _REFUSED
    """a rule that the API server cannot check, or a resource older than the rule
    Do: correct the fields that the message names, in a new search"""
    DATA_SET_MISSING = "DataSetMissing", _REFUSED
    """the manifest names only a folder of one machine
    Do: name a `persistentVolumeClaim` or an `s3` URI, in a new search"""
    PRIORITY_FORBIDDEN = "PriorityForbidden", _REFUSED
    """a `priorityClassName` in `jobs` begins with `system-`
    Do: name another class or none"""
    POLICY_VIOLATION = "PolicyViolation", _REFUSED
    """the search breaks a rule of the administrator's [policy](#policy); the message names the
    field, its value, the rule's place in the chart's values, and what the rule allows. A search
    that has begun stays Accepted: its running Jobs end unchanged, and no Job is started
    Do: change the field, in a new search if it is fixed; or the administrator changes the rule"""
    TOO_MANY_SEARCHES = "TooManySearches", _REFUSED
    """`maximum.searches` of the [policy](#policy) are under way in the namespace
    Do: wait: it begins by itself when one of those that the message names is over"""
    STORAGE_MISSING = "StorageMissing", _REFUSED
    """no `storage.uri`, and the operator has no default
    Do: name one of the places in the message, in a new search; or the administrator sets
    `storage.default`"""
    STORAGE_INVALID = "StorageInvalid", _REFUSED
    """`storage.uri` is not a plain `s3://bucket/prefix`
    Do: correct it, in a new search"""
    STORAGE_FORBIDDEN = "StorageForbidden", _REFUSED
    """the place is not one that the operator allows, nor in the namespace's own folder below one
    (`s3://experiments/detnas/team-a/…`, no part of it `searches` or `pools`): any other folder
    there may belong to another namespace; or the administrator removed the place where the search
    is stored
    Do: name one of the places in the message, in a new search; where the message says so, the
    administrator adds the place again"""
    POOL_INVALID = "PoolInvalid", _REFUSED
    """`teachers.pool` is not a plain `s3://bucket/prefix`
    Do: correct it, in a new search"""
    WARM_START_INVALID = "WarmStartInvalid", _REFUSED
    """`warmStart.from` is not a plain `s3://bucket/prefix`
    Do: correct it, in a new search"""
    POOL_FORBIDDEN = "PoolForbidden", _REFUSED
    """`teachers.pool` is outside this namespace's own folder in this search's store; or the search
    began with a shared pool, and `storage.sharedPools` has since been turned off
    Do: use a location that the message lists, in a new search; where the message speaks of the
    administrator, of the chart's values"""
    WARM_START_FORBIDDEN = "WarmStartForbidden", _REFUSED
    """`warmStart.from` is outside this namespace's own folder in this search's store
    Do: use a location that the message lists, in a new search"""

    POOL_MISSING = "PoolMissing", _INPUTS
    """there is no pool at `teachers.pool`
    Do: name another, in a new search"""
    POOL_UNFINISHED = "PoolUnfinished", _INPUTS
    """not all of its phases are trained
    Do: wait for the search that trains it; or leave the pool out, in a new search"""
    POOL_MISMATCH = "PoolMismatch", _INPUTS
    """its teachers, detector or classes differ from the search's; the message names the field
    Do: give the field the pool's value, in a new search"""
    POOL_DAMAGED = "PoolDamaged", _INPUTS
    """a result of the pool, named or trained by an earlier search, names weights that are not in
    the store, or of another size or digest
    Do: restore the object; or do what the message says"""
    EARLIER_DATA = "EarlierData", _INPUTS
    """an earlier search of this name has finished trials, and had the same spec or a `search.json`
    that cannot be read; or the annotation `detnas.dev/adopt` names no such search, or one with
    another spec
    Do: decide whether to continue with its data: [Backup and restore](#backup-and-restore)"""
    WARM_START_MISSING = "WarmStartMissing", _INPUTS
    """there is no such search, or it was deleted while it was read
    Do: restore it, or wait until it has begun; or name one that exists, in a new search"""
    WARM_START_AMBIGUOUS = "WarmStartAmbiguous", _INPUTS
    """several searches had this name
    Do: name the folder, in a new search; the message lists them"""
    WARM_START_MISMATCH = "WarmStartMismatch", _INPUTS
    """resolutions, detector, base or data differ
    Do: give both the same, in a new search"""

    SUSPENDED = "Suspended", _JOB, 50
    """someone else suspended the Job, no queue is named, and Kueue is not known to have a Workload
    Do: set the Job's `spec.suspend` to false only if the message says that Kueue has none"""
    NAME_TAKEN = "NameTaken", _JOB
    """an object with the Job's name belongs to something else, most often an earlier search of this
    name; or it is being deleted, and a finalizer that the message names holds it
    Do: wait until that is deleted, or delete it; after `kubectl delete --cascade=orphan` the
    message has the command"""
    ADMISSION_REFUSED = "AdmissionRefused", _JOB
    """the API server refuses the Job or Service: a policy, a webhook that vetoes it or is broken,
    missing rights of the operator
    Do: read the message; `helm test` checks the rights"""
    QUOTA_EXCEEDED = "QuotaExceeded", _JOB, 49
    """the namespace's quota is used up; the message names it. Where it counts Jobs
    (`count/jobs.batch`), Jobs of the search that have ended, and whose results are stored, are
    deleted to make room
    Do: wait, or raise it; if the quota requires limits, set `jobs.resources`"""
    PODS_REFUSED = "PodsRefused", _JOB, 48
    """the Job's pods are refused, for another reason than a quota
    Do: read the message, or `kubectl describe job`"""
    UNSCHEDULABLE = "Unschedulable", _JOB, 47
    """no node takes the pod; the message has the scheduler's words, or that it has not seen the pod
    Do: free or add nodes; where it is a volume claim, the commands in the message show what it
    waits for; or request less (`jobs.resources`, `nodeSelector`, `tolerations`, `affinity`) and
    delete the Job; it will be recreated; where there are no GPUs, in a new search: 0 as `gpus` of
    `base`, `evaluation` and `finetune` and as `teachers.gpusPerWorker`"""
    DATA_MISSING = "DataMissing", _JOB, 46
    """the volume claim does not exist
    Do: create the claim that `dataset.source.persistentVolumeClaim` names, and its volume; or name
    another, in a new search"""
    CREDENTIALS_MISSING = "CredentialsMissing", _JOB, 45
    """the pod's Secret or service account does not exist; or, if Accepted is False, the namespace
    may not run searches
    Do: create the Secret that the message names; the chart makes the account. The administrator
    adds a namespace to the value `namespaces`"""
    IMAGE_PULL = "ImagePull", _JOB, 44
    """the image of a container is not available; the message names one that is not the trainer
    Do: push the image, or correct the Secret that it is pulled with; or name other
    `jobs.imagePullSecrets` and delete the Job; it will be recreated; another name, in a new search.
    If something in the cluster added the container, contact whoever runs it"""
    CONTAINER_REFUSED = "ContainerRefused", _JOB, 43
    """the node has not started a container for a minute; the message has its reason and words
    Do: read the message, or `kubectl describe pod`"""
    INIT_CONTAINER = "InitContainer", _JOB, 42
    """a container that something in the cluster added before the trainer (an admission webhook, a
    mesh, a vault) fails, or has not ended after 90 s
    Do: contact whoever runs it: the message has its name, how it ended, and the log command"""
    NODE_LOST = "NodeLost", _JOB, 41
    """a node is not ready, or does not report whether the pod has stopped
    Do: if the node is gone, delete it or taint it `node.kubernetes.io/out-of-service`"""
    NOT_STARTING = "NotStarting", _JOB, 40
    """a pod has its node and does not start; the message has the words of its last event
    (`FailedAttachVolume`, `FailedMount`, `FailedCreatePodSandBox` …), or says that there is none:
    after 90 s, and after 10 minutes while an image is pulled
    Do: what the event says; without one, `kubectl describe` of the pod and of the node"""
    NO_PROGRESS = "NoProgress", _JOB
    """a pod runs, but its trainer has sent no heartbeat for two minutes, has written nothing in its
    first ten, or has completed no step for ten, in a phase without steps for thirty; the message
    has its last report. Trainers of earlier versions without a heartbeat have the time of a step
    Do: read the pod's log; if it hangs, delete the pod: the next resumes from the checkpoint"""
    PODS_STOPPING = "PodsStopping", _JOB
    """the search is deleted with its data, and after 5 minutes a pod has not stopped, or it is
    suspended, and after a minute and the pod's grace one has not; the message names pod, node, and
    the finalizer that holds it or its Job
    Do: if the node has been removed for good, delete it, or `kubectl delete pod <pod> --force`"""
    LABELS_CHANGED = "LabelsChanged", _JOB, NEEDS_ATTENTION
    """a label of a Job was changed, and changed again when the operator had restored it. The search
    continues: Jobs are known by owner and name
    Do: exempt the Job from the policy or controller that changes it"""

    BUDGET_USED_UP = "BudgetUsedUp", _STOPPED
    """`limits.gpuHours` are used; running jobs were stopped with a checkpoint
    Do: raise it, and the search continues"""
    FAILURES_IN_A_ROW = "FailuresInARow", _STOPPED
    """`limits.consecutiveFailures` trials in a row did not succeed; running ones end
    Do: fix the cause, suspend and resume; or raise the limit"""
    DATA_CHANGED = "DataChanged", _STOPPED
    """a job saw other annotations, images or base weights than the data check: the message says
    which. No trial is recorded as failed for it; running jobs check again before they end
    Do: restore the old data, suspend and resume, and the same jobs run again; to search the new
    data, apply the manifest under another name"""
    CLUSTER_UNAVAILABLE = "ClusterUnavailable", _STOPPED
    """the API server failed, or throttled the operator, in four passes in a row: see the message
    Do: nothing, if it passes; else look at the API server"""
    CLUSTER_REFUSED = "ClusterRefused", _STOPPED
    """the API server has not let the operator do something in four passes in a row: a missing
    right, or a namespace that is being deleted
    Do: `helm test` checks the rights; with `rbac.create=false` grant what the message names"""
    STORE_UNAVAILABLE = "StoreUnavailable", _STOPPED
    """S3 does not answer, or fails
    Do: nothing; the search continues when S3 does"""
    STORE_REFUSED = "StoreRefused", _STOPPED
    """S3 refuses the operator or does not honour conditional writes; or a record is damaged, or
    names a place that is not the search's
    Do: the message names the chart's value, for the administrator, or the record to restore"""
    DATA_LOST = "DataLost", _STOPPED
    """S3 no longer has what the status lists as finished: the message names it. No job is started;
    a search that has succeeded stays so
    Do: restore the data, and the search continues; or accept that it is done again: [Backup and
    restore](#backup-and-restore)"""
    SEARCH_FAILED = "SearchFailed", _STOPPED
    """the operator hit an unexpected error; the message has it, and the trace ID
    Do: the operator's log has the complete trace under that ID: `kubectl logs deployment/detnas
    --namespace detnas-system` and search for it; see [Troubleshooting](#troubleshooting)"""
    FINE_TUNING_FAILED = "FineTuningFailed", _STOPPED, NEEDS_ATTENTION
    """the fine-tuning was lost to `infrastructure`; the best trial's student is exported as it was
    Do: nothing, if that is acceptable; else fix the cause, suspend and resume: the student is
    fine-tuned, and exported again if it is better"""
    BASELINE_FAILED = "BaselineFailed", _STOPPED, NEEDS_ATTENTION
    """a baseline was lost to `infrastructure`; the search ends without it
    Do: nothing, if that is acceptable; else fix the cause, suspend and resume: the baseline is
    trained, and compared"""
    FAILED = "Failed", _STOPPED
    """data check, base, a phase of the pool or the export failed for good, or no trial succeeded
    Do: fix the cause, suspend and resume; an error in `spec` is corrected in a new search; the
    message says when more trials are needed"""

    TEACHERS_READY = "TeachersReady", _EVENT
    """all phases of the pool are trained"""
    POOL_TAKEN_OVER = "PoolTakenOver", _EVENT
    """this search trains the pool now"""
    NEW_BEST = "NewBest", _EVENT
    """a trial has the best H so far"""
    TRIAL_FAILED = "TrialFailed", _EVENT
    """a trial did not succeed, and why"""
    RESUMED = "Resumed", _EVENT
    """the search continues"""
    RECOVERED = "Recovered", _EVENT
    """what made the search Degraded is over"""
    DATA_LOSS_ACCEPTED = "DataLossAccepted", _EVENT
    """someone accepted a loss of data"""
    DOES_NOT_FIT_DATA = "DoesNotFitData", _EVENT
    """see `AcceptedWithWarnings`"""
    SUCCEEDED = "Succeeded", _EVENT
    """the search has ended, and what it has gained"""
