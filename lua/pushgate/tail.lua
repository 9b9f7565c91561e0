-- Follows the log and hands its entries to the engine, in order, one worker at a time.
--
-- Phase: a timer that worker.lua starts in every worker. The worker that holds the lease
-- (tail_lease.lua) is the tail; when it dies or ends, another one goes on after `position.done()`.
-- It may then hand over again what the last one handed over without having said so; subscribers
-- drop those by their id.
--
-- An entry that the engine does not take now is tried again until it does; the log waits meanwhile.
-- One that it refuses for good (too large) cannot be sent live: its channels' subscribers are told
-- to resume, and get it from history. Nothing is skipped silently.

local config = require("pushgate.config")
local continuity = require("pushgate.continuity")
local cursor = require("pushgate.cursor")
local engine = require("pushgate.engine")
local frames = require("pushgate.sse.frames")
local generation = require("pushgate.generation")
local lag = require("pushgate.lag")
local log_entries = require("pushgate.log_entries")
local monotonic = require("pushgate.monotonic")
local position = require("pushgate.position")
local recent = require("pushgate.recent")
local redis = require("pushgate.redis")
local revocation = require("pushgate.revocation")
local tail_lease = require("pushgate.tail_lease")

local sleep = ngx.sleep

local TRY_LEASE_SECONDS = 0.5
local BLOCK_MS = 1000
local LOOK_SECONDS = 5
-- Open streams are told of revocations this often at the most.
local TELL_SECONDS = 1
-- A timer's memory is given back when it ends; then the next one begins.
local RUN_SECONDS = 60
local BACKOFF_MIN_SECONDS, BACKOFF_MAX_SECONDS = 0.05, 2

local _M = {}

-- Whether this worker is on its way out: it may be so before nginx tells it.
local function exiting()
    return ngx.worker.exiting() or not generation.is_current()
end

-- Sleeps, longer each time in a row, with jitter.
local function back_off(run)
    run.failures = run.failures + 1
    local most = math.min(BACKOFF_MAX_SECONDS, BACKOFF_MIN_SECONDS * 2 ^ run.failures)
    sleep(most * (0.5 + math.random() / 2))
end

local function trouble(run, text)
    if exiting() then
        -- What it needs is taken from it; another one goes on.
        return
    end
    -- Said once, then again only when it changes.
    if lag.begin_trouble(text) then
        ngx.log(ngx.ERR, "the tail waits: ", text)
    end
    run.in_trouble = true
end

local function untroubled(run)
    run.failures = 0
    lag.read()
    if lag.end_trouble() or run.in_trouble then
        run.in_trouble = false
        ngx.log(ngx.WARN, "the tail goes on")
    end
end

-- Returns an open link to the engine; or nil and an error.
local function link_of(run)
    if not run.link then
        local ok, err = engine.get().ready()
        if not ok then
            return nil, err
        end
        run.link, err = engine.get().open()
        if not run.link then
            return nil, err
        end
    end
    return run.link
end

local function drop_link(run)
    if run.link then
        run.link:close()
        run.link = nil
    end
end

-- Tells all subscribers something. Returns true; or nil and an error.
local function tell_all(run, comment)
    local link, err = link_of(run)
    if not link then
        return nil, err
    end
    local ok
    ok, err = link:tell_all(comment)
    if not ok then
        drop_link(run)
        return nil, err
    end
    return true
end

-- Tells what continuity.look() found. Returns true; or nil and an error.
local function tell_what_is_untold(run)
    local comment = continuity.untold()
    if not comment then
        return true
    end
    local ok, err = tell_all(run, comment)
    if not ok then
        return nil, err
    end
    continuity.has_told()
    return true
end

-- Looks whether the log, and the revocations, are still those that were followed. Returns true; or
-- nil and an error.
local function look(run, connection)
    local ok, err = continuity.look(connection)
    if not ok then
        return nil, err
    end
    if revocation.is_followed() then
        ok, err = revocation.look(connection)
        if not ok then
            return nil, err
        end
    end
    local time
    time, err = connection:call("time")
    if not time then
        return nil, err
    end
    lag.set_clock(time[1] + time[2] / 1e6 - ngx.now())
    run.looked_at = monotonic.now()
    return true
end

-- Tells open streams of revocations. Returns for how long the log may be waited for; or nil and an
-- error.
local function tell_revoked(run)
    if not revocation.is_untold() then
        return BLOCK_MS
    end
    local wait_ms = (run.told_at + TELL_SECONDS - monotonic.now()) * 1000
    if wait_ms >= 1 then
        return math.min(BLOCK_MS, math.ceil(wait_ms))
    end
    -- First, so that an entry of this moment is told of again.
    revocation.set_untold(false)
    run.told_at = monotonic.now()
    local ok, err = tell_all(run, frames.LOOK)
    if not ok then
        revocation.set_untold(true)
        return nil, err
    end
    return BLOCK_MS
end

-- A subscriber takes its counters first and `now` afterwards: the entries its counters already
-- hold are then at or before its `now`. So `now` moves first here, then the counters. What the last
-- tail has noted is not noted again: the numbers of a channel's frames are what streams are audited
-- by.
local function announce(entry)
    local is_new = position.announce(entry.position)
    for i = 1, #entry.names do
        if is_new or not recent.has(entry.names[i], entry.position) then
            recent.note(entry.names[i], entry.block)
        end
    end
end

-- Writes down what became of entries[from] to entries[to]: a column of position.books().
local function book(books, column, entries, from, to)
    for i = from, to do
        books[column] = books[column] + 1
        books.malformed = books.malformed + entries[i].malformed
    end
    books.position = entries[to].position
    position.hand_over(books)
    lag.hand_over(books.position)
end

-- The engine will never take this entry. Returns true; or nil and an error.
local function refused(run, entry, why)
    ngx.log(ngx.ERR, "log entry ", entry.id, " cannot be sent live: ", why,
        "; the subscribers of ", table.concat(entry.names, " "), " resume")
    local link, err = link_of(run)
    if not link then
        return nil, err
    end
    local ok
    ok, err = link:tell(entry.names, frames.RESUME)
    if not ok then
        drop_link(run)
    end
    return ok, err
end

-- Hands over all entries, however long it takes. Returns true; false when this worker must stop.
local function deliver(run, entries, books)
    local from, announced = 1, 0
    while from <= #entries do
        if exiting() or not tail_lease.hold() then
            return false
        end
        while announced < math.min(#entries, from + 63) do
            announced = announced + 1
            announce(entries[announced])
        end
        local link, err = link_of(run)
        local taken, for_good = 0, false
        if link then
            taken, err, for_good = link:hand_over(entries, from)
        end
        if taken > 0 then
            book(books, "handed_over", entries, from, from + taken - 1)
            from = from + taken
            untroubled(run)
        end
        if err then
            drop_link(run)
            local told = false
            if for_good then
                told, err = refused(run, entries[from], err)
                if told then
                    book(books, "refused", entries, from, from)
                    from = from + 1
                end
            end
            if not told and taken == 0 then
                trouble(run, err)
                back_off(run)
            end
        end
    end
    return true
end

-- One turn with an open connection. Returns true; nil and an error; or false to stop.
local function turn(run, connection)
    if continuity.is_doubted() or monotonic.now() - run.looked_at >= LOOK_SECONDS then
        local ok, err = look(run, connection)
        if not ok then
            return nil, err
        end
    end
    local ok, err = tell_what_is_untold(run)
    if not ok then
        return nil, err
    end
    local wait_ms
    wait_ms, err = tell_revoked(run)
    if not wait_ms then
        return nil, err
    end
    local books = position.books()
    local done = books.position
    local moves = connection.moves
    local raw
    raw, err = log_entries.read(connection, done, wait_ms)
    if not raw then
        return nil, err
    end
    if connection.moves ~= moves then
        -- It may be a replica that did not have everything.
        run.looked_at = -math.huge
        return true
    end
    untroubled(run)
    lag.set_behind(#raw == log_entries.MOST)
    if #raw == 0 then
        return true
    end
    local epoch
    epoch, err = connection:call("get", config.get().keys.epoch)
    if err then
        return nil, err
    end
    if epoch ~= done.epoch then
        -- The log has begun another life, on this very connection (FLUSHALL): what was read is of
        -- that one, and subscribers are to be told first.
        run.looked_at = -math.huge
        return true
    end
    local entries, malformed = log_entries.of(raw, done.epoch)
    if not deliver(run, entries, books) then
        return false
    end
    if malformed > 0 then
        -- At the end: handed to nobody.
        local last_id = tostring(raw[#raw][1])
        books.position = cursor.of_entry(done.epoch, last_id)
        if not books.position then
            return nil, "the log's entry " .. last_id .. " has an id that no cursor can hold, and "
                .. "so has all that follows; delete the log"
        end
        books.malformed = books.malformed + malformed
        position.announce(books.position)
        position.hand_over(books)
    end
    return true
end

-- Follows the log until this worker is no longer the tail or the timer has run long enough.
local function follow(run)
    local connection
    while not exiting() and monotonic.now() < run.ends_at and tail_lease.hold() do
        local ok, err
        if not connection then
            connection, err = redis.open()
            run.looked_at = -math.huge
        end
        if connection then
            ok, err = turn(run, connection)
            if ok == false then
                break
            end
        end
        if not ok then
            if connection then
                connection:close()
                connection = nil
            end
            trouble(run, err)
            back_off(run)
        end
    end
    if connection then
        connection:close()
    end
    drop_link(run)
end

local function run(premature)
    if premature then
        return
    end
    local this = { failures = 0, looked_at = -math.huge, told_at = -math.huge,
        ends_at = monotonic.now() + RUN_SECONDS }
    while not exiting() and monotonic.now() < this.ends_at do
        if tail_lease.hold() then
            local ok, err = pcall(follow, this)
            if not ok then
                ngx.log(ngx.ERR, "the tail failed and begins again: ", err)
                drop_link(this)
                sleep(BACKOFF_MAX_SECONDS * math.random())
            end
        else
            sleep(TRY_LEASE_SECONDS * (0.5 + math.random() / 2))
        end
    end
    if exiting() then
        tail_lease.give_up()
    else
        _M.start()
    end
end

-- Starts the timer in this worker.
function _M.start()
    local ok, err = ngx.timer.at(0, run)
    if not ok then
        ngx.log(ngx.ERR, "could not start the tail's timer: ", err)
    end
end

return _M
