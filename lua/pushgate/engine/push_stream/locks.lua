-- The push-stream module's own memory: what a dead worker has left locked is opened, and what it
-- has left to its successor is forgotten.
--
-- nginx opens the lock of each zone of shared memory when the worker that held it was killed. The
-- module (0.6.0, read in its source) has further locks inside its zone, of which nginx knows
-- nothing: one that a killed worker held stays locked, and everybody who publishes to one of its
-- channels, or joins one, waits for ever (seen: all workers, within the second). What the dead
-- worker was changing may be half changed, as with nginx' own locks.
--
-- Looked at by who takes a dead worker's place, before anything is published, before a subscriber
-- is let in, and once a second: fifteen words of memory. A process that was killed and is not yet
-- buried is left alone; and so is a zone in which one lock's address is not where the module's
-- source says: nothing of it is written.
--
-- Phases: find() init_worker, open() that, access and timers.

local ffi = require("ffi")

local processes = require("pushgate.processes")

ffi.cdef([[
typedef struct { unsigned long lock, wait; } pushgate_lock_t;
typedef struct {
    pushgate_lock_t *word;
    unsigned long *wait;
    unsigned long semaphore;
    long sem[4];
    unsigned long spin;
} pushgate_mutex_t;
typedef struct pushgate_queue_s { struct pushgate_queue_s *prev, *next; } pushgate_queue_t;
typedef struct { pushgate_queue_t items; pushgate_mutex_t mutex; pushgate_lock_t lock; }
    pushgate_locked_queue_t;
typedef struct {
    pushgate_queue_t messages, subscribers;
    unsigned long count;
    long startup;
    int pid;
} pushgate_worker_data_t;
typedef struct {
    void *tree[3];
    unsigned long counts[5];
    pushgate_locked_queue_t queues[4];
    unsigned long more_counts[3];
    pushgate_worker_data_t workers[1024];
    long times[3];
} pushgate_module_data_head_t;
typedef struct {
    pushgate_module_data_head_t head;
    pushgate_queue_t siblings;
    void *pointers[3];
    unsigned long last_counts[2];
    pushgate_mutex_t channel_mutexes[10];
    pushgate_lock_t channel_locks[10];
    pushgate_mutex_t cleanup_mutex;
    pushgate_lock_t cleanup_lock;
} pushgate_module_data_t;
typedef struct { int pid[1024]; pushgate_queue_t zones; } pushgate_module_zones_t;
extern long ngx_process_slot;
unsigned long ngx_shmtx_force_unlock(pushgate_mutex_t *mutex, int pid);
int poll(void *polls, unsigned long count, int timeout);
]])

local C = ffi.C
local WAIT_MS = 2000
local SIBLINGS = ffi.offsetof("pushgate_module_data_t", "siblings")

local _M = {}

-- Lists of what find() found.
local mutexes, words = {}, {}

-- The locks of a zone: a list of mutexes and one of their words, in the same order.
local function locks_of(data)
    local found_mutexes, found_words = {}, {}
    local function add(mutex, lock)
        found_mutexes[#found_mutexes + 1], found_words[#found_words + 1] = mutex, lock
    end
    for i = 0, 3 do
        add(data.head.queues[i].mutex, data.head.queues[i].lock)
    end
    for i = 0, 9 do
        add(data.channel_mutexes[i], data.channel_locks[i])
    end
    add(data.cleanup_mutex, data.cleanup_lock)
    return found_mutexes, found_words
end

-- A mutex knows where its two words are. One of them alone proves nothing: eight bytes farther on,
-- the second is where the first was.
local function is_mutex_of(mutex, lock)
    return mutex.word == ffi.cast("pushgate_lock_t *", lock)
        and mutex.wait == ffi.cast("unsigned long *", lock) + 1
end

-- Whether a zone is laid out as this file has it. Adds its locks to those found.
local function prove(data)
    local found_mutexes, found_words = locks_of(data)
    for i, mutex in ipairs(found_mutexes) do
        if not is_mutex_of(mutex, found_words[i]) then
            return false
        end
    end
    for i, mutex in ipairs(found_mutexes) do
        mutexes[#mutexes + 1], words[#words + 1] = mutex, found_words[i]
    end
    return true
end

-- Begins this worker's own list of subscribers. What the dead worker of its place has left there
-- was memory of that process.
local function begin_subscribers(data)
    local list = data.head.workers[C.ngx_process_slot].subscribers
    local head = ffi.cast("pushgate_queue_t *", list)
    list.prev, list.next = head, head
end

-- Finds the module's locks. `places` is the address of its table of workers, behind which it lists
-- its zones. They stay where they are for as long as the master lives.
--
-- Blocks while the list is empty: at a reload it is, for as long as the master reads its files. A
-- worker that begins in that moment must not go on: the module would give it no list of its own,
-- and it would crash on what the dead worker of its place has left there (seen, one time in four).
-- Should the list become empty right after this, its own list of subscribers has been begun here.
function _M.find(places)
    mutexes, words = {}, {}
    local zones = ffi.cast("pushgate_module_zones_t *", places).zones
    local head = ffi.cast("pushgate_queue_t *", zones)
    for _ = 1, WAIT_MS do
        if head.next ~= head then
            break
        end
        C.poll(nil, 0, 1)
    end
    local queue = head.next
    while queue ~= head do
        local data = ffi.cast("pushgate_module_data_t *", ffi.cast("char *", queue) - SIBLINGS)
        if prove(data) then
            begin_subscribers(data)
        else
            ngx.log(ngx.ERR, "the push-stream module is not laid out as locks.lua has it, so what ",
                "killed workers leave locked stays locked; use Debian 13's")
        end
        queue = queue.next
    end
end

-- Opens what the dead have locked.
function _M.open()
    for i = 1, #words do
        local holder = tonumber(words[i].lock)
        if holder ~= 0 and not processes.is_alive(holder)
            and C.ngx_shmtx_force_unlock(mutexes[i], holder) ~= 0
        then
            ngx.log(ngx.WARN, "opened a lock of the engine's that worker ", holder,
                " held when it died")
        end
    end
end

return _M
