/*
 * The protocol of package shared as a model for spin: lock, takeover, fence, append, close; writers that stand still at any
 * step and wake up later, answers that are lost, and requests that are carried out late.
 *
 *     spin -a protocol.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan
 *
 * There is no time in it. A writer may be taken over from at any moment, alive or not, so leases, clocks and suspended
 * machines are all in it: they only make a takeover rarer. What a lease adds, that nothing is sent to the platform any more
 * after it, is not.
 *
 * What must hold (the assertions): what a writer was told is durable is found by whoever reads what head.json names, at every
 * moment. Each mutant, a -D… of the compiler's preprocessor, breaks one rule of the protocol, and spin must find the lost
 * append:
 *
 *     DELETE_FENCE     whoever cleans up removes the fence as well
 *     NO_FENCE         a taker reads up to the first free number, and puts no fence there
 *     CLEAN_FIRST      the old journal is removed before head.json names the new one
 *     TRUST_EXISTS     an append that finds its number taken believes that what stands there is its own
 *     FOLLOW_HEAD      a writer that finds a foreign head goes on from there
 */

#ifndef WRITERS
#define WRITERS 3
#endif
#ifndef LOST
#define LOST 2          /* answers that get lost after the effect */
#endif
#ifndef LATE
#define LATE 1          /* requests that are given up, and carried out at any later time */
#endif
#define APPENDS 2       /* of each writer */

#define EPOCHS (WRITERS + 1)
#define SLOTS  (APPENDS + 2)
#define AT(epoch, n) seg[(epoch) * SLOTS + (n)]

#define FREE   0
#define HEADER 50       /* segment 0; what it carries over is in head.json's state here */
#define FENCE  100      /* and above: the fence of the writer FENCE + id */

byte seg[EPOCHS * SLOTS];                         /* journal/EPOCH/N */
byte epoch, journal, known, nonce;                /* head.json; known is the state: the appends that it holds, as bits */
byte nonces;                                      /* how many there were: none is used twice */
byte acked;                                       /* the appends of which a writer was told that they are durable */
byte lost = LOST, late = LATE;

#define BIT(value) (1 << ((value) - 1))

/* What a reader finds now: the state, and the segments of its journal up to a fence or the first free number. */
inline check() {
	d_step {
		have = known; i = 0;
		do
		:: journal != 0 && i < SLOTS && AT(journal, i) != FREE && AT(journal, i) < FENCE ->
			if
			:: AT(journal, i) < HEADER -> have = have | BIT(AT(journal, i))
			:: else
			fi;
			i++
		:: else -> break
		od;
		assert((acked & ~have) == 0);
		have = 0; i = 0
	}
}

/* A create that is carried out after its writer has given it up. */
proctype LateCreate(byte e, n, value) {
	d_step {
		if
		:: AT(e, n) == FREE -> AT(e, n) = value
		:: else
		fi
	}
}

/* A replace of head.json that is carried out late. */
proctype LateReplace(byte old, new, e, j, k) {
	byte have, i;
	atomic {
		if
		:: nonce == old -> nonce = new; epoch = e; journal = j; known = k; check()
		:: else
		fi
	}
}

/* put if absent: ok says whether it was, and unsure that no answer came. */
inline create(e, n, value) {
	atomic {
		unsure = false; ok = false;
		if
		:: late > 0 -> late--; unsure = true; run LateCreate(e, n, value)
		:: true ->
			if
			:: AT(e, n) == FREE -> AT(e, n) = value; ok = true
			:: else
			fi;
			if
			:: lost > 0 -> lost--; unsure = true
			:: true
			fi
		fi
	}
}

/* replace writes head.json until it is known to be written; where it was somebody else's, the writer is out. */
inline replace(e, j, k) {
	own = 0;
	do
	:: atomic {
		other = own; nonces++; own = nonces; unsure = false; ok = false;
		if
		:: late > 0 -> late--; unsure = true; run LateReplace(tag, own, e, j, k)
		:: true ->
			if
			:: nonce == tag -> nonce = own; epoch = e; journal = j; known = k; ok = true; check()
			:: else
			fi;
			if
			:: lost > 0 -> lost--; unsure = true
			:: true
			fi
		fi
	   }
	   if
	   :: !unsure && ok -> tag = own; break
	   :: else ->
		atomic {
			if
			:: nonce == own || (other != 0 && nonce == other) -> tag = nonce; break
			:: nonce == tag                                    /* not carried out, or not yet: again */
			:: else ->
#ifdef FOLLOW_HEAD
				tag = nonce
#else
				goto out
#endif
			fi
		}
	   fi
	od;
	own = 0; other = 0
}

/* clean removes the segments of a journal that head.json does not reach any more, one after the other. */
inline clean(e, count) {
	n = 0;
	do
	:: e != 0 && n < count -> atomic { AT(e, n) = FREE; n++; check() }
	:: else -> break
	od;
#ifdef DELETE_FENCE
	if
	:: e != 0 && count < SLOTS -> atomic {
		if
		:: AT(e, count) >= FENCE -> AT(e, count) = FREE
		:: else
		fi
	   }
	:: else
	fi;
#endif
	n = 0
}

proctype Writer(byte id) {
	byte tag, own, other, mine, old, count, mem, n, value, got, have, i;
	bool ok, unsure;

	/* Lock, or takeover: free, dead or alive, it is the same write. */
	atomic { tag = nonce; mine = epoch + 1; old = journal; mem = known }
	replace(mine, old, mem);

	/* Fence the journal that head.json names, and read what stands before the fence. */
	do
	:: old == 0 || count >= SLOTS -> break
	:: else ->
		got = AT(old, count);
		if
		:: got == FREE && count == 0 -> goto out           /* cleaned up: somebody else took over */
		:: got == FREE ->
#ifdef NO_FENCE
			break
#else
			create(old, count, FENCE + id);
			if
			:: ok && !unsure -> break
			:: else                                        /* what stands there says it */
			fi
#endif
		:: got >= FENCE -> break
		:: got == HEADER -> count++
		:: else -> mem = mem | BIT(got); count++
		fi;
		got = 0
	od;
	got = 0;

	/* Begin: segment 0 of the new journal, then the one write of head.json from which it counts. */
#ifdef CLEAN_FIRST
	clean(old, count);
#endif
	do
	:: create(mine, 0, HEADER);
		if
		:: ok && !unsure -> break
		:: else ->
			if
			:: AT(mine, 0) == HEADER -> break
			:: else
			fi
		fi
	od;
	replace(mine, mine, mem);
	clean(old, count);
	old = 0; count = 1;

	/* Append: the same bytes at the same key until the answer is known. */
	do
	:: count <= APPENDS ->
		value = id * APPENDS + count;
		do
		:: create(mine, count, value);
			if
			:: ok && !unsure -> break
			:: !ok && !unsure ->
#ifdef TRUST_EXISTS
				break
#else
				got = AT(mine, count);
				if
				:: got == value -> break
				:: got == FREE                             /* cleaned up meanwhile: again */
				:: else -> goto out                        /* a fence */
				fi
#endif
			:: unsure
			fi
		od;
		atomic { got = 0; acked = acked | BIT(value); mem = mem | BIT(value); count++; check() }
	:: true -> break                                         /* the work is done, or a part of it */
	od;
	value = 0;

	/* Close: everything is in the state, and the journal ends. */
	replace(mine, 0, mem);
	clean(mine, count);
out:
	skip
}

init {
	byte w;
	atomic {
		nonces = 1; nonce = 1;
		do
		:: w < WRITERS -> run Writer(w); w++
		:: else -> break
		od
	}
}
