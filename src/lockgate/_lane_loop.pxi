# The loop's turns and the commit of a turn, in C while nothing but lanes has something to do. Included by `_lane`.


# -- commits --------------------------------------------------------------------------------------------------------------------


cdef int _commit(Ledger ledger) except -1:
    """What `Committer.commit` does, where nothing is unusual: no failure behind it, nobody to tell, one piece in the segment that is open."""
    cdef LogState log = ledger.log
    cdef Pace committer = ledger.committer
    cdef list buffer = log._buffer, texts = log._texts
    cdef object writer
    cdef bytes made
    cdef int handle, failed
    cdef long long first, offset
    cdef Py_ssize_t size
    if (
        ledger.files == UNKNOWN_FILES or not log.healthy or log.suspended or log._settled or log._account is not None or log._closed
        or committer._waiting or not buffer or ledger.keys.unstored
    ):  # fmt: skip
        committer.commit()
        return 0
    for pair in texts:
        if PyBytes_GET_SIZE(<bytes?>(<tuple?>pair)[1]) > INLINE_MAX:
            committer.commit()
            return 0
    first = log._integrated + len(log._fresh)
    made = group(texts, buffer, first)
    size = PyBytes_GET_SIZE(made)
    writer = log._writer
    offset = writer.offset
    if writer.handle is None or not offset or offset + size > <long long>writer.segment_bytes:
        committer.commit()
        return 0
    handle = writer.handle
    committer._scheduled = committer._urgent = False
    committer._lazy_until = 0
    failed = pwrite(handle, PyBytes_AS_STRING(made), size, offset) != size
    if not failed and ledger.files == SYNCED:
        with nogil:
            failed = fdatasync(handle) != 0
    if failed:  # the segment is never used again, whatever a second attempt would say
        committer.take(log.could_not_write())
        return 0
    writer.offset = offset + size
    for pair in texts:
        log._fresh_texts.append((<tuple>pair)[1])
    settle(buffer, first, log._intents, log._fresh)
    log._counter += len(buffer)
    buffer.clear()
    texts.clear()
    log._kept_bytes = 0
    committer.commits += 1
    committer.durable = log._integrated + len(log._fresh)
    if ledger.withholding:
        for lane in ledger.release(committer.durable):
            lane.ask_again()
    return 0


cdef double _seconds() noexcept:
    """`time.monotonic`."""
    cdef timespec moment
    clock_gettime(CLOCK_MONOTONIC, &moment)
    return moment.tv_sec + moment.tv_nsec * 1e-9


cdef double _before_wait(Ledger ledger) except? -2:
    """What `Committer` does before a wait; how long it may last, below 0 without end."""
    cdef Pace committer = ledger.committer
    cdef double left
    if committer._urgent:
        _commit(ledger)
    elif committer._lazy_until != 0:
        left = committer._lazy_until - _seconds()
        if left > 0:
            return left
        _commit(ledger)
    return 0 if committer._urgent or committer._lazy_until != 0 else -1


# -- the loop -------------------------------------------------------------------------------------------------------------------


def moved():
    """Something else ran in this thread: what lanes remember is looked at again before it is used."""
    global turns
    turns += 1


cdef int held = 0  # turns since another thread could run
cdef bint busy = False  # the last turn found more than one socket ready


cdef int _ready(object handler, uint32_t events, Ledger ledger) except -1:
    """Handle a socket other than a client's of a lane: whoever may look for something durable finds what is waiting committed."""
    global turns
    cdef End end
    if type(handler) is End:
        end = <End>handler
        if ledger is not None and ledger.committer._urgent and (
            end.lane is None or end.lane.asked is None or end.lane.intent >= ledger.committer.durable
        ):
            _commit(ledger)
        end.ready(events)
    else:
        if ledger is not None and ledger.committer._urgent:
            _commit(ledger)
        turns += 1
        handler(events)
    return 0


cdef int _turn(int number, double wait, dict handlers, int inner, Ledger ledger) except -1:
    """Handle what is ready, waiting at most so many seconds for it (below 0 without end); 1 when something was, and 2 more when `inner` is.

    Clients come first: what they ask for shares the commit that an answer of this turn may need.
    """
    global held, busy
    cdef epoll_event events[EVENTS]
    cdef int count = 0, i, descriptor, milliseconds, later = 0, found = 0
    cdef object handler
    if wait > 86400:
        wait = 86400
    milliseconds = -1 if wait < 0 else <int>(wait * 1000 + 0.999)
    if (busy or milliseconds == 0) and held < HELD:
        held += 1
        count = epoll_wait(number, events, EVENTS, 0)
    if count == 0 and (milliseconds != 0 or held >= HELD):
        held = 0
        with nogil:
            count = epoll_wait(number, events, EVENTS, milliseconds)
    if count < 0:
        PyErr_CheckSignals()
    busy = count > 1
    for i in range(count):
        descriptor = events[i].data.fd
        handler = handlers.get(descriptor)
        if handler is None:
            found |= 2 if descriptor == inner else 0
        elif type(handler) is End and (<End>handler).is_client:
            (<End>handler).ready(events[i].events)
        else:
            events[later] = events[i]
            later += 1
    for i in range(later):
        handler = handlers.get(events[i].data.fd)
        if handler is not None:
            _ready(handler, events[i].events, ledger)
    return found | (1 if count > 0 else 0)


def run(plane, int number, int inner, dict handlers not None, double end):
    """Turns of the loop until asyncio has something to do; whether its own selector has it.

    Args:
        plane: the `DataPlaneSelector`.
        number, inner: of the epoll, and of asyncio's own in it.
        handlers: by descriptor.
        end: when asyncio wants to go on (`time.monotonic`), below 0 without end.
    """
    cdef bint asked
    try:
        asked = _run(plane, number, inner, handlers, end)
    finally:
        if plane.lanes is not None:
            (<Ledger?>plane.lanes).tell()
    return asked


cdef bint _run(plane, int number, int inner, dict handlers, double end) except -1:
    """See `run`."""
    cdef double wait, bound, left
    cdef int found, looked = 0
    cdef Ledger ledger
    while True:
        ledger = plane.lanes
        if ledger is not None and ledger.committer._urgent and (busy or ledger.files == SYNCED) and looked < LOOKS and not plane.woken:
            # Others may be about to ask, and share the commit.
            looked += 1
            found = _turn(number, 0, handlers, inner, ledger)
            if found & 2:
                return True
            if found:
                continue
        looked = 0
        if ledger is not None:
            bound = _before_wait(ledger)
        else:
            given = plane.before_wait()
            bound = -1 if given is None else given
        wait = bound
        if plane.woken:
            wait = 0
        elif end >= 0:
            left = end - _seconds()
            if left < 0:
                left = 0
            wait = left if bound < 0 or left < bound else bound
        if _turn(number, wait, handlers, inner, ledger) & 2:
            return True
        if plane.woken or (end >= 0 and _seconds() >= end):
            return False
