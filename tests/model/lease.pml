// The lease protocol of docs/protocol.md, bounded: one job, two nodes, two attempts, FAULTS faults.
//
// One process, one action a step: whatever the scheduler, the agents, the shepherds, the network
// and time can do next. A step of either core is one action; it is atomic with its transaction or
// journal record, because every output waits for that (Visibility, Launch 2 and 4): a crash before
// the commit is a crash before the step.
//
//     scheduler/core   hello.c link.c report.c settle.c attempt.c tick.c   actions s_*
//     agent/core       agent.c, with restore.c of the shell                actions a_*
//     agent/core       shepherd.c, with the lock of agent/host             actions h_*
//
// Variants: WAIT (on_lost wait: no end of the lease), GANG (one part on each node: PREPARE and GO).
// Mutants, each of which must be found: NO_RULE1 .. NO_LAUNCH4 take a rule away, REACH_* claim that
// something never happens.
//
// Bounds: time 0 .. MAX_TIME, a lease of LEASE ticks, a margin of one; delay is free (time passes
// while messages are under way); faults cost one each: a lost link, a message of an old link that
// arrives after the new one, a restart of agent or scheduler, a reboot, a stopped agent or shepherd.
// Not here (Lease 7): both keepers gone at the deadline. Time stands still while a task's deadline
// has passed and it runs: the keeper that lives kills within the margin.

#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef MAX_TIME
#define MAX_TIME 5
#endif

#define LEASE 2
#define PREPARE_LEASE 2
#define MARGIN 1
#define NEVER 200

#define NODES 2
#define ATTEMPTS 2
#define AT(a, n) ((a) * NODES + (n))

#ifdef GANG
#define PREPARE 1
#else
#define PREPARE 0
#endif

// ---- messages: kind, session, attempt, request, list (HELLO, HEARTBEAT, GRANT) or word ----

mtype = { HELLO, HEARTBEAT, REPORT, END, LAUNCH, GO, KILL, GRANT, END_ACK };

chan up[NODES] = [4] of { byte, byte, byte, byte, byte, byte };   // last: the boot, in HELLO
chan down[NODES] = [4] of { byte, byte, byte, byte, byte };
// A message of an older link that is still under way.
chan late_up[NODES] = [1] of { byte, byte, byte, byte, byte, byte };
chan late_down[NODES] = [1] of { byte, byte, byte, byte, byte };

// An attempt's state as HELLO and REPORT tell it, and the words of END.
#define ORDERED 1
#define PREPARED 2
#define RUNNING 3
#define ENDING 4
#define ENDED 5
#define NOT_STARTED 1
#define EXITED 2
#define KILLED 3
#define LISTED(list, a) (((list) >> (3 * (a))) & 7)

byte now;
byte faults = FAULTS;

// ---- the scheduler: durable, but for `ready`, `session`, `heard` and `lease` ----

#define PENDING 0
#define ACTIVE 1
#define COMPLETED 2
#define LOST 3
byte job;
byte attempt; // number of the newest; index attempt - 1
bool verdict; // the attempt must end

#define PLACED 0
#define IS_PREPARED 1
#define GOING 2
#define IS_RUNNING 3
bool part[4], part_over[4], part_kill[4];
byte part_state[4], part_lease[4];

bool ready[NODES];
byte session[NODES], new_session[NODES], last_session[NODES];
byte heard[NODES]; // newest request
byte known_boot[NODES];
byte unreachable[NODES]; // since when, + 1; 0: reachable

// ---- the nodes ----

#define DOWN 0
#define UP 1
#define STOPPED 2
byte agent[NODES];
byte boot[NODES];
byte linked[NODES]; // the session that the agent obeys
bool bad[NODES]; // the link delays, and may break

#define FORKED 1 // the rest as in messages
byte phase[4];
bool fork_wait[4], go[4];
byte deadline[4];
bool word[4]; // the deadline is on tmpfs
// the journal
bool order[4];
byte order_boot[4], end_kept[4];
// shepherds
#define IDLE 1
#define WAITS 2
#define RUNS 3
#define LEFT 4 // nothing is left; END waits for the agent's word
byte forking[4]; // fork requests under way
byte shepherd[4], final[4];
bool ordered[4], stopped[4], told[4], told_go[4]; // told: the order is in its socket
bool tasks[4];
byte starts[4];

// of one step
hidden byte kind;
hidden byte i, k, s, c, r, b, list, lease, until;
hidden byte flag;

// ---- words ----

#define CURRENT(a, n) (part[AT(a, n)] && !part_over[AT(a, n)] && (a) + 1 == attempt && job == ACTIVE)
#define SPEAK (len(down[0]) <= 1 && len(down[1]) <= 1)

inline say(n, kind, a, req, what)
{
    if
    :: ready[n] && session[n] == linked[n] -> down[n]!kind, session[n], a, req, what
    :: else
    fi
}

inline tell(n, kind, a, req, what)
{
    if
    :: linked[n] -> up[n]!kind, linked[n], a, req, what, boot[n]
    :: else
    fi
}

// ---- the scheduler's verdicts ----

inline settle()
{
    if
    :: job == ACTIVE ->
        flag = false;
        i = (attempt - 1) * NODES;
        if
        :: (part[i] && !part_over[i]) || (part[i + 1] && !part_over[i + 1]) -> flag = true
        :: else
        fi;
        if
        :: flag
        :: !flag && !verdict ->
            job = COMPLETED
#ifdef REACH_COMPLETED
            ;
            assert(false)
#endif
        :: !flag && verdict && attempt < ATTEMPTS -> job = PENDING
        :: else -> job = LOST
        fi
    :: else
    fi
}

inline kill_part(a, m)
{
    if
    :: part[AT(a, m)] && !part_kill[AT(a, m)] ->
        part_kill[AT(a, m)] = true;
        say(m, KILL, a, 0, 0)
    :: else
    fi
}

inline condemn(a)
{
    if
    :: !verdict ->
        verdict = true;
        kill_part(a, 0);
        kill_part(a, 1)
    :: else
    fi
}

// Lease 4: from here on the job may be placed again, so nothing of it may run there.
inline judge_over(a, n)
{
    assert(!tasks[AT(a, n)]);
    flag = CURRENT(a, n);
    part_over[AT(a, n)] = true;
    part_lease[AT(a, n)] = NEVER;
    if
    :: flag -> condemn(a)
    :: else
    fi
}

inline lease_from(a, n, at)
{
    part_lease[AT(a, n)] = at + LEASE + MARGIN;
#ifdef WAIT
    if
    :: PREPARE && part_state[AT(a, n)] <= IS_PREPARED
    :: else -> part_lease[AT(a, n)] = NEVER
    fi
#endif
}

inline launch(a, n)
{
    lease_from(a, n, now);
    say(n, LAUNCH, a, heard[n], 0)
}

inline send_go(a, n)
{
    part_state[AT(a, n)] = GOING;
    lease_from(a, n, now);
    say(n, GO, a, heard[n], 0)
}

inline progress(a)
{
    if
    :: PREPARE && !verdict && CURRENT(a, 0) && CURRENT(a, 1) &&
       part_state[AT(a, 0)] == IS_PREPARED && part_state[AT(a, 1)] == IS_PREPARED ->
        send_go(a, 0);
        send_go(a, 1)
    :: else
    fi
}

inline part_heard(a, n, state)
{
    if
    :: !part[AT(a, n)] || state == ENDED || state == 0
    :: part[AT(a, n)] && (!CURRENT(a, n) || part_kill[AT(a, n)]) && state != ENDED && state != 0 ->
        part_kill[AT(a, n)] = true;
        say(n, KILL, a, 0, 0)
    :: else ->
        if
        :: state == PREPARED && part_state[AT(a, n)] == GOING -> say(n, GO, a, heard[n], 0)
        :: state == PREPARED && part_state[AT(a, n)] == PLACED ->
            part_state[AT(a, n)] = IS_PREPARED
        :: state == RUNNING -> part_state[AT(a, n)] = IS_RUNNING
        :: else
        fi;
        progress(a)
    fi
}

inline renew(a, n)
{
    if
    :: LISTED(list, a) && CURRENT(a, n) && !part_kill[AT(a, n)] ->
        lease_from(a, n, now);
        k = k | (1 << a)
    :: else
    fi
}

inline grant(n)
{
    k = 0;
    renew(0, n);
    renew(1, n);
    if
    :: k && len(down[n]) <= 1 -> say(n, GRANT, 0, heard[n], k)
    :: else
    fi
}

inline rebooted_part(a, n)
{
    if
#ifdef NO_RULE4
    :: part[AT(a, n)] ->
#else
    :: part[AT(a, n)] && LISTED(list, a) != ENDED -> // its own report counts, and follows
#endif
        assert(end_kept[AT(a, n)] != EXITED); // a success before the reboot counts (Lease 4c)
        if
        :: !part_over[AT(a, n)] -> judge_over(a, n)
        :: else
        fi;
        part[AT(a, n)] = false;
        settle()
    :: else
    fi
}

inline reconcile_unlisted(a, n)
{
    if
    :: part[AT(a, n)] && LISTED(list, a) == 0 &&
       (part_kill[AT(a, n)] || part_state[AT(a, n)] == PLACED) ->
        if
        :: part_kill[AT(a, n)] || !CURRENT(a, n) ->
            part_kill[AT(a, n)] = true;
            say(n, KILL, a, 0, 0)
        :: else -> launch(a, n)
        fi
    :: else
    fi
}

inline take_hello(n, s, b)
{
    flag = known_boot[n] && known_boot[n] != b;
#ifdef NO_SESSION
    session[n] = last_session[n];
#else
    session[n] = s;
#endif
    new_session[n] = 0;
    ready[n] = true;
    heard[n] = r;
    unreachable[n] = 0;
    known_boot[n] = b;
    if
    :: flag ->
        rebooted_part(0, n);
        rebooted_part(1, n)
    :: else
    fi;
    reconcile_unlisted(0, n);
    reconcile_unlisted(1, n);
    part_heard(0, n, LISTED(list, 0));
    part_heard(1, n, LISTED(list, 1));
    grant(n)
}

inline take_end(a, n, what)
{
    if
    :: part[AT(a, n)] ->
        assert(!tasks[AT(a, n)]);
        flag = CURRENT(a, n);
        part[AT(a, n)] = false;
        if
        :: flag && what != EXITED -> condemn(a)
        :: flag && what == EXITED -> progress(a)
        :: else
        fi;
        settle()
    :: else
    fi;
    say(n, END_ACK, a, 0, 0)
}

// Is the message of the session that counts?
#ifdef NO_SESSION
#define NEWEST(s, n) (ready[n])
#define NEWEST_HELLO(s, n) true
#define OBEYED(s, n) (linked[n] != 0)
#else
#define NEWEST(s, n) (ready[n] && session[n] == (s))
#define NEWEST_HELLO(s, n) (new_session[n] && new_session[n] == (s))
#define OBEYED(s, n) (linked[n] && linked[n] == (s))
#endif

inline s_take(n, from)
{
    from?kind, s, c, r, list, b;
    if
    :: kind == HELLO && NEWEST_HELLO(s, n) -> take_hello(n, s, b)
    :: kind == HEARTBEAT && NEWEST(s, n) && r > heard[n] ->
        heard[n] = r;
        unreachable[n] = 0;
        grant(n)
    :: kind == REPORT && NEWEST(s, n) -> part_heard(c, n, list)
    :: kind == END && NEWEST(s, n) -> take_end(c, n, list)
    :: else // dropped
    fi
}

inline place(a, n)
{
    part[AT(a, n)] = true;
    part_over[AT(a, n)] = false;
    part_kill[AT(a, n)] = false;
    part_state[AT(a, n)] = PLACED;
    launch(a, n)
}

// ---- the agent ----

// Lease 1: the end of a lease that counts from the sending of a request; 0 if that is unknown.
// A request is named here by when it was sent, + 1.
inline lease_end(req, ms)
{
#ifdef NO_RULE1
    until = now + ms
#else
    until = (req -> req - 1 + ms : 0)
#endif
}

inline full_lease(req)
{
    lease_end(req, LEASE);
#ifdef WAIT
    if
    :: until -> until = NEVER
    :: else
    fi
#endif
}

// Launch 4: the end is on disk before the shepherd may go and before it is told.
inline ended(a, n, what)
{
    assert(what != NOT_STARTED || !starts[AT(a, n)]); // an end takes no start back
    phase[AT(a, n)] = ENDED;
#ifndef NO_LAUNCH4
    end_kept[AT(a, n)] = what;
#endif
    final[AT(a, n)] = what;
    if
    :: shepherd[AT(a, n)] != IDLE -> shepherd[AT(a, n)] = 0
    :: else
    fi;
    ordered[AT(a, n)] = false; // its files are removed
    deadline[AT(a, n)] = 0;
    word[AT(a, n)] = false;
    fork_wait[AT(a, n)] = false;
    go[AT(a, n)] = false;
    tell(n, END, a, 0, what)
}

inline take_launch(a, n)
{
    if
    :: phase[AT(a, n)] == ENDED -> tell(n, END, a, 0, final[AT(a, n)])
    :: phase[AT(a, n)] && phase[AT(a, n)] != ENDED -> tell(n, REPORT, a, 0, phase[AT(a, n)])
    :: else ->
        if
        :: PREPARE -> lease_end(r, PREPARE_LEASE)
        :: else -> full_lease(r)
        fi;
        lease = until;
        lease_end(r, PREPARE_LEASE);
        if
        :: now >= until || now >= lease ||
           (phase[AT(1 - a, n)] && phase[AT(1 - a, n)] != ENDED) -> // too late, or in the way
            ended(a, n, NOT_STARTED)
        :: else ->
            order[AT(a, n)] = true; // Launch 2: before the fork
            order_boot[AT(a, n)] = boot[n];
            phase[AT(a, n)] = FORKED;
            deadline[AT(a, n)] = lease;
            fork_wait[AT(a, n)] = true
        fi
    fi
}

inline take_go(a, n)
{
    full_lease(r);
    if
    :: now >= until || now >= deadline[AT(a, n)] // Lease 1
    :: else ->
        if
        :: phase[AT(a, n)] == PREPARED || phase[AT(a, n)] == FORKED ->
            go[AT(a, n)] = true;
            deadline[AT(a, n)] = until;
            told_go[AT(a, n)] = shepherd[AT(a, n)] == WAITS
        :: else
        fi
    fi
}

inline take_kill(a, n)
{
    if
    :: phase[AT(a, n)] == ENDED -> tell(n, END, a, 0, final[AT(a, n)])
    :: phase[AT(a, n)] == 0 -> ended(a, n, NOT_STARTED) // Launch 3
    :: else -> phase[AT(a, n)] = ENDING
    fi
}

inline take_grant(a, n)
{
    if
    :: ((list >> a) & 1) && phase[AT(a, n)] && phase[AT(a, n)] < ENDING &&
       deadline[AT(a, n)] != NEVER && deadline[AT(a, n)] > now ->
        if
        :: !PREPARE || go[AT(a, n)] || phase[AT(a, n)] == RUNNING -> full_lease(r)
        :: else -> lease_end(r, PREPARE_LEASE)
        fi;
        if
        :: until > deadline[AT(a, n)] -> deadline[AT(a, n)] = until
        :: else
        fi
    :: else
    fi
}

inline forget(a, n)
{
    if
    :: phase[AT(a, n)] == ENDED ->
        assert(!part[AT(a, n)]); // an acknowledged end is durable there
        phase[AT(a, n)] = 0;
        order[AT(a, n)] = false;
        order_boot[AT(a, n)] = 0;
        end_kept[AT(a, n)] = 0;
        final[AT(a, n)] = 0
    :: else
    fi
}

inline a_take(n, from)
{
    from?kind, s, c, r, list;
    if
    :: !OBEYED(s, n) // dropped
    :: OBEYED(s, n) && kind == LAUNCH -> take_launch(c, n)
    :: OBEYED(s, n) && kind == GO -> take_go(c, n)
    :: OBEYED(s, n) && kind == KILL -> take_kill(c, n)
    :: OBEYED(s, n) && kind == GRANT -> take_grant(0, n); take_grant(1, n)
    :: OBEYED(s, n) && kind == END_ACK -> forget(c, n)
    fi
}

#define STATE(a, n) (phase[AT(a, n)])

inline a_connect(n)
{
    do
    :: len(up[n]) -> up[n]?_, _, _, _, _, _
    :: else -> break
    od;
    last_session[n] = last_session[n] + 1;
    new_session[n] = last_session[n];
    linked[n] = last_session[n];
    bad[n] = false;
    tell(n, HELLO, 0, now + 1, STATE(0, n) | (STATE(1, n) << 3));
    if
    :: phase[AT(0, n)] == ENDED -> tell(n, END, 0, 0, final[AT(0, n)])
    :: else
    fi;
    if
    :: phase[AT(1, n)] == ENDED -> tell(n, END, 1, 0, final[AT(1, n)])
    :: else
    fi
}

inline link_down(n)
{
    ready[n] = false;
    session[n] = 0;
    heard[n] = 0;
    if
    :: unreachable[n]
    :: else -> unreachable[n] = now + 1
    fi
}

// The link is over for the agent: what the scheduler sent by it is gone.
inline unlink(n)
{
    do
    :: len(down[n]) -> down[n]?_, _, _, _, _
    :: else -> break
    od;
    linked[n] = 0
}

inline restore(a, n)
{
    if
    :: end_kept[AT(a, n)] ->
        phase[AT(a, n)] = ENDED;
        final[AT(a, n)] = end_kept[AT(a, n)]
    :: !end_kept[AT(a, n)] && order[AT(a, n)] && order_boot[AT(a, n)] != boot[n] ->
        ended(a, n, KILLED) // nothing outlives a boot
    :: !end_kept[AT(a, n)] && order[AT(a, n)] && order_boot[AT(a, n)] == boot[n] ->
        if
        :: !word[AT(a, n)] -> deadline[AT(a, n)] = 0 // none is invented
        :: else
        fi;
#ifdef NO_RULE2
        deadline[AT(a, n)] = now + LEASE;
#endif
        phase[AT(a, n)] = FORKED;
        if
        :: shepherd[AT(a, n)]
        :: !shepherd[AT(a, n)] && ordered[AT(a, n)] -> phase[AT(a, n)] = ENDING
        :: !shepherd[AT(a, n)] && !ordered[AT(a, n)] && deadline[AT(a, n)] <= now ->
            ended(a, n, NOT_STARTED)
        :: else -> fork_wait[AT(a, n)] = true
        fi
    :: else
    fi
}

inline a_crash(n)
{
    unlink(n);
    if
    :: bad[n]
    :: else -> link_down(n)
    fi;
    for (i : 0 .. ATTEMPTS - 1) {
        phase[AT(i, n)] = 0;
        fork_wait[AT(i, n)] = false;
        go[AT(i, n)] = false;
        final[AT(i, n)] = (shepherd[AT(i, n)] == LEFT -> final[AT(i, n)] : 0)
    }
    agent[n] = DOWN
}

inline reboot(n)
{
    a_crash(n);
    for (i : 0 .. ATTEMPTS - 1) {
        deadline[AT(i, n)] = 0;
        word[AT(i, n)] = false;
        forking[AT(i, n)] = 0;
        shepherd[AT(i, n)] = 0;
        final[AT(i, n)] = 0;
        ordered[AT(i, n)] = false;
        stopped[AT(i, n)] = false;
        told[AT(i, n)] = false;
        told_go[AT(i, n)] = false;
        tasks[AT(i, n)] = false
    }
    boot[n] = boot[n] + 1
}

// ---- the shepherd ----

// What the whole page is for.
inline start(a, n)
{
    assert(!tasks[AT(1 - a, 0)] && !tasks[AT(1 - a, 1)]); // no overlap
    assert(!starts[AT(a, n)]);                            // never twice
    assert(job == ACTIVE && attempt == a + 1 && part[AT(a, n)] && !part_over[AT(a, n)]);
#ifdef REACH_SECOND
    assert(a == 0);
#endif
    starts[AT(a, n)] = 1;
    tasks[AT(a, n)] = true;
    shepherd[AT(a, n)] = RUNS
}

#ifdef NO_START_CHECK
#define MAY_START(a, n) true
#define MAY_ORDER(a, n) (phase[AT(a, n)] == FORKED || phase[AT(a, n)] == ENDING)
#else
#define MAY_START(a, n) (deadline[AT(a, n)] > now)
#define MAY_ORDER(a, n) (phase[AT(a, n)] == FORKED)
#endif

#define OVERDUE(a, n) (tasks[AT(a, n)] && deadline[AT(a, n)] <= now)

inline leave_tasks(a, n, what)
{
    tasks[AT(a, n)] = false;
    shepherd[AT(a, n)] = LEFT;
    final[AT(a, n)] = what;
    told_go[AT(a, n)] = false
}

// ---- what may happen: one process for each part of an attempt on a node, one for each node ----

// Without a fault a message is taken before anything else happens.
#define TAKEN(n) \
    (bad[n] || (len(up[n]) == 0 && (len(down[n]) == 0 || agent[n] != UP || !linked[n])))
#define QUIET (TAKEN(0) && TAKEN(1))
// Is anything of the job there, or may come to be?
#define AT_NODE(n) (part[AT(0, n)] || part[AT(1, n)] || phase[AT(0, n)] || phase[AT(1, n)] ||    \
                    order[AT(0, n)] || order[AT(1, n)] || shepherd[AT(0, n)] ||                  \
                    shepherd[AT(1, n)] || forking[AT(0, n)] || forking[AT(1, n)])
#define OPEN (job <= ACTIVE || AT_NODE(0) || AT_NODE(1))
#define LINK_ROOM(n) (len(up[n]) <= 2)
#define BEFORE_END(a, n) (phase[AT(a, n)] && phase[AT(a, n)] <= ENDING)

proctype part_of(byte a; byte n)
{
end: do
    // the scheduler: a lease has passed (Lease 4a)
    :: d_step {
           QUIET && part[AT(a, n)] && !part_over[AT(a, n)] && part_lease[AT(a, n)] <= now && SPEAK ->
           judge_over(a, n);
           settle()
       }
    // the agent
    :: d_step {
           QUIET && agent[n] == UP && fork_wait[AT(a, n)] && phase[AT(a, n)] == FORKED ->
           fork_wait[AT(a, n)] = false;
           word[AT(a, n)] = true;
           forking[AT(a, n)] = forking[AT(a, n)] + 1
       }
    :: d_step {
           QUIET && agent[n] == UP && shepherd[AT(a, n)] == IDLE && !told[AT(a, n)] && MAY_ORDER(a, n) ->
           told[AT(a, n)] = true
       }
    :: d_step {
           QUIET && agent[n] == UP && LINK_ROOM(n) && phase[AT(a, n)] == FORKED &&
           shepherd[AT(a, n)] == WAITS ->
           phase[AT(a, n)] = PREPARED;
           tell(n, REPORT, a, 0, PREPARED)
       }
    :: d_step {
           QUIET && agent[n] == UP && LINK_ROOM(n) && shepherd[AT(a, n)] == RUNS &&
           (phase[AT(a, n)] == FORKED || phase[AT(a, n)] == PREPARED) ->
           phase[AT(a, n)] = RUNNING;
           tell(n, REPORT, a, 0, RUNNING)
       }
    :: d_step { // one keeper (Lease 2)
           QUIET && agent[n] == UP && phase[AT(a, n)] && phase[AT(a, n)] < ENDING &&
           deadline[AT(a, n)] <= now ->
           phase[AT(a, n)] = ENDING
       }
    :: d_step {
           QUIET && agent[n] == UP && LINK_ROOM(n) && phase[AT(a, n)] == ENDING && !stopped[AT(a, n)] &&
           shepherd[AT(a, n)] == IDLE && !told[AT(a, n)] ->
           shepherd[AT(a, n)] = 0;
           ended(a, n, NOT_STARTED)
       }
    :: d_step {
           QUIET && agent[n] == UP && phase[AT(a, n)] == ENDING && !stopped[AT(a, n)] &&
           shepherd[AT(a, n)] == WAITS ->
           leave_tasks(a, n, NOT_STARTED)
       }
    :: d_step {
           QUIET && agent[n] == UP && phase[AT(a, n)] == ENDING && !stopped[AT(a, n)] &&
           shepherd[AT(a, n)] == RUNS ->
           leave_tasks(a, n, KILLED)
       }
    :: d_step { // no shepherd, or none that reacts: by cgroup and token
           QUIET && agent[n] == UP && LINK_ROOM(n) && phase[AT(a, n)] == ENDING &&
           (shepherd[AT(a, n)] == 0 || (stopped[AT(a, n)] && shepherd[AT(a, n)] != LEFT)) ->
           tasks[AT(a, n)] = false;
           stopped[AT(a, n)] = false;
           told[AT(a, n)] = false;
           told_go[AT(a, n)] = false;
           shepherd[AT(a, n)] = 0;
           ended(a, n, KILLED)
       }
    :: d_step {
           QUIET && agent[n] == UP && LINK_ROOM(n) && BEFORE_END(a, n) && shepherd[AT(a, n)] == LEFT ->
           ended(a, n, final[AT(a, n)])
       }
    // the shepherd: the lock first (Launch 2)
    :: d_step {
           QUIET && forking[AT(a, n)] && !stopped[AT(a, n)] ->
           forking[AT(a, n)] = forking[AT(a, n)] - 1;
           if
#ifdef NO_LAUNCH2
           :: true -> shepherd[AT(a, n)] = IDLE
#else
           :: !shepherd[AT(a, n)] && !ordered[AT(a, n)] -> shepherd[AT(a, n)] = IDLE
           :: else
#endif
           fi
       }
    :: d_step { // nobody wants it
           QUIET && shepherd[AT(a, n)] == IDLE && !told[AT(a, n)] && !stopped[AT(a, n)] &&
           (agent[n] != UP || phase[AT(a, n)] != FORKED) ->
           shepherd[AT(a, n)] = 0
       }
    :: d_step {
           QUIET && shepherd[AT(a, n)] == IDLE && told[AT(a, n)] && !stopped[AT(a, n)] ->
           told[AT(a, n)] = false;
           if
           :: !word[AT(a, n)] -> shepherd[AT(a, n)] = 0 // its files are gone
           :: else ->
               ordered[AT(a, n)] = true;
               if
               :: PREPARE -> shepherd[AT(a, n)] = WAITS
               :: !PREPARE && MAY_START(a, n) -> start(a, n)
               :: else -> leave_tasks(a, n, NOT_STARTED)
               fi
           fi
       }
    :: d_step {
           QUIET && shepherd[AT(a, n)] == WAITS && told_go[AT(a, n)] && !stopped[AT(a, n)] ->
           told_go[AT(a, n)] = false;
           if
           :: MAY_START(a, n) -> start(a, n)
           :: else -> leave_tasks(a, n, NOT_STARTED)
           fi
       }
    :: d_step {
           QUIET && shepherd[AT(a, n)] == RUNS && !stopped[AT(a, n)] ->
           leave_tasks(a, n, EXITED)
       }
#ifndef NO_RULE2
    :: d_step { // the other keeper
           QUIET && (shepherd[AT(a, n)] == WAITS || shepherd[AT(a, n)] == RUNS) && !stopped[AT(a, n)] &&
           deadline[AT(a, n)] <= now ->
           if
           :: tasks[AT(a, n)] -> leave_tasks(a, n, KILLED)
           :: else -> leave_tasks(a, n, NOT_STARTED)
           fi
       }
#endif
    :: d_step {
           QUIET && faults && !stopped[AT(a, n)] && (forking[AT(a, n)] || shepherd[AT(a, n)]) &&
           shepherd[AT(a, n)] != LEFT ->
           faults--;
           stopped[AT(a, n)] = true
       }
    :: d_step { QUIET && stopped[AT(a, n)] -> stopped[AT(a, n)] = false }
    od
}

proctype node(byte n)
{
end: do
    :: d_step { len(up[n]) && SPEAK -> s_take(n, up[n]) }
    :: d_step { len(down[n]) && agent[n] == UP && LINK_ROOM(n) -> a_take(n, down[n]) }
    :: d_step { QUIET && len(late_up[n]) && SPEAK -> s_take(n, late_up[n]) }
    :: d_step {
           QUIET && len(late_down[n]) && agent[n] == UP && LINK_ROOM(n) ->
           a_take(n, late_down[n])
       }
    // links
    :: d_step { QUIET && agent[n] == UP && !linked[n] -> a_connect(n) }
    :: d_step { // each side notices that the other is gone
           QUIET && agent[n] == UP && linked[n] && linked[n] != session[n] &&
           linked[n] != new_session[n] ->
           unlink(n)
       }
    :: d_step { QUIET && ready[n] && session[n] != linked[n] && len(up[n]) == 0 -> link_down(n) }
    // a bad link: messages are late, the link breaks, one of them arrives after the next link
    :: d_step { QUIET && faults && linked[n] && !bad[n] && OPEN -> faults--; bad[n] = true }
    :: d_step { bad[n] && len(up[n]) == 0 && len(down[n]) == 0 -> bad[n] = false }
    :: d_step { QUIET && bad[n] && agent[n] == UP && linked[n] -> unlink(n) }
    :: d_step {
           QUIET && bad[n] && len(late_down[n]) == 0 && agent[n] == UP && len(down[n]) ->
           down[n]?kind, s, c, r, list;
           late_down[n]!kind, s, c, r, list;
           unlink(n)
       }
    :: d_step {
           QUIET && bad[n] && len(late_up[n]) == 0 && agent[n] == UP && !linked[n] && len(up[n]) ->
           up[n]?kind, s, c, r, list, b;
           late_up[n]!kind, s, c, r, list, b;
           a_connect(n)
       }
    // other faults
    :: d_step { QUIET && faults && AT_NODE(n) && agent[n] == UP -> faults--; a_crash(n) }
    :: d_step { QUIET && faults && AT_NODE(n) && agent[n] -> faults--; reboot(n) }
    :: d_step { QUIET && agent[n] == DOWN -> agent[n] = UP; restore(0, n); restore(1, n) }
    :: d_step { QUIET && faults && AT_NODE(n) && agent[n] == UP -> faults--; agent[n] = STOPPED }
    :: d_step { QUIET && agent[n] == STOPPED -> agent[n] = UP }
    od
}

inline restart_node(n)
{
    ready[n] = false;
    session[n] = 0;
    new_session[n] = 0;
    heard[n] = 0;
    do
    :: len(up[n]) -> up[n]?_, _, _, _, _, _
    :: else -> break
    od;
    if
    :: unreachable[n]
    :: else -> unreachable[n] = now + 1
    fi;
    if
    :: agent[n] == UP && !bad[n] -> unlink(n)
    :: else
    fi;
    for (i : 0 .. ATTEMPTS - 1) {
        if
        :: part[AT(i, n)] && !part_over[AT(i, n)] ->
            lease_from(i, n, unreachable[n] - 1); // Lease 5
#ifdef NO_RULE5
            part_lease[AT(i, n)] = now
#endif
        :: else
        fi
    }
}

#ifdef NO_RULE2 // nobody but the agent keeps the deadline
#define IN_TIME(a, n) (!OVERDUE(a, n) || agent[n] != UP)
#else
#define IN_TIME(a, n) (!OVERDUE(a, n))
#endif
#define MAY_PLACE(n) (ready[n] && !unreachable[n])

// Nothing is late without a fault: time passes when every process has done what it can.
#define AT_WORK(a, n)                                                                         \
    ((agent[n] == UP &&                                                                       \
      (fork_wait[AT(a, n)] || phase[AT(a, n)] == ENDING ||                                    \
       (phase[AT(a, n)] == FORKED && shepherd[AT(a, n)]) ||                                   \
       (BEFORE_END(a, n) && (shepherd[AT(a, n)] == LEFT || deadline[AT(a, n)] <= now)))) ||   \
     (forking[AT(a, n)] && !stopped[AT(a, n)]) || (told[AT(a, n)] && !stopped[AT(a, n)]) ||   \
     (told_go[AT(a, n)] && !stopped[AT(a, n)]) ||                                             \
     (part[AT(a, n)] && !part_over[AT(a, n)] && part_lease[AT(a, n)] <= now))
#define IDLE_PART(a, n) (IN_TIME(a, n) && !AT_WORK(a, n))

inline heartbeat(n)
{
    list = (phase[AT(0, n)] && phase[AT(0, n)] != ENDED -> 1 : 0) |
           (phase[AT(1, n)] && phase[AT(1, n)] != ENDED -> 8 : 0);
    if
    :: agent[n] == UP && linked[n] && list && (len(up[n]) == 0) -> tell(n, HEARTBEAT, 0, now + 1, list)
    :: agent[n] == UP && linked[n] && !list && !bad[n] && ready[n] -> // it renews nothing
        heard[n] = now + 1;
        unreachable[n] = 0
    :: else
    fi
}

active proctype world()
{
    d_step { // two nodes whose agents are linked and heard
        for (i : 0 .. NODES - 1) {
            agent[i] = UP;
            boot[i] = 1;
            known_boot[i] = 1;
            last_session[i] = 1;
            session[i] = 1;
            linked[i] = 1;
            ready[i] = true;
            heard[i] = 1
        }
        for (i : 0 .. 3) {
            part_lease[i] = NEVER
        }
        i = 0
    };
    atomic {
        run node(0);
        run node(1);
        run part_of(0, 0);
        run part_of(0, 1);
        run part_of(1, 0);
        run part_of(1, 1)
    };
end: do
    :: d_step {
           QUIET && now < MAX_TIME && OPEN && IDLE_PART(0, 0) && IDLE_PART(0, 1) && IDLE_PART(1, 0) &&
           IDLE_PART(1, 1) ->
           now++;
           heartbeat(0);
           heartbeat(1)
       }
#ifdef GANG
    :: d_step {
           QUIET && job == PENDING && attempt < ATTEMPTS && SPEAK && MAY_PLACE(0) && MAY_PLACE(1) ->
           job = ACTIVE;
           verdict = false;
           attempt++;
           c = attempt - 1;
           place(c, 0);
           place(c, 1)
       }
#else
    :: d_step {
           QUIET && job == PENDING && attempt < ATTEMPTS && SPEAK && MAY_PLACE(0) ->
           job = ACTIVE;
           verdict = false;
           attempt++;
           c = attempt - 1;
           place(c, 0)
       }
    :: d_step { // the first one lies on node 0: the nodes are alike
           QUIET && job == PENDING && attempt == 1 && SPEAK && MAY_PLACE(1) ->
           job = ACTIVE;
           verdict = false;
           attempt++;
           c = attempt - 1;
           place(c, 1)
       }
#endif
    :: d_step {
           QUIET && faults && (AT_NODE(0) || AT_NODE(1)) ->
           faults--;
           restart_node(0);
           restart_node(1);
           settle()
       }
    od
}
