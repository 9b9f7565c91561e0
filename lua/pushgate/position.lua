-- Where this gateway is in the log. Shared by all workers and kept over a reload.
--
-- Two cursors in the shared dict pushgate_state:
--   now   the last entry the tail has announced, that is, is about to hand to the engine; what a
--         subscriber who brings no cursor begins after
--   done  the last entry the engine has taken; what a new tail goes on after
-- `done` carries the tail's books of everything up to it, in the same value: whoever dies between
-- two of its steps, whatever two tails do at once, the books are those of that position.
-- Whoever needs them first takes them from Redis, atomically, so that no entry falls between a
-- subscriber's "now" and the place where the tail begins.
--
-- Phases: all. begin() needs access, content or timer, because it asks Redis.

local config = require("pushgate.config")
local cursor = require("pushgate.cursor")
local redis = require("pushgate.redis")

local concat = table.concat
local match = string.match
local state = ngx.shared.pushgate_state
local tonumber = tonumber

local _M = {}

local function whole(number)
    return ("%.0f"):format(number)
end

-- The parsed form of the text read last: thousands of connects read the same one.
local parsed = { text = "" }

local function read(name)
    local text = state:get(name)
    if not text then
        return nil
    end
    text = match(text, "^%S+")
    if text ~= parsed.text then
        parsed = cursor.parse(text)
    end
    return parsed
end

-- What became of the log's entries, in the order in which `done` has them.
local COLUMNS = { "handed_over", "malformed", "refused", "cut" }
_M.COLUMNS = COLUMNS

local function write_done(books)
    local parts = { books.position.text, whole(books.place), whole(books.before) }
    for _, name in ipairs(COLUMNS) do
        parts[#parts + 1] = whole(books[name])
    end
    state:set("done", concat(parts, " "))
end

-- The books up to `done`:
--   position     where that is
--   handed_over, malformed, refused, cut
--                what became of the entries since this gateway began: taken by the engine; not
--                understood and skipped; refused by it for good, its subscribers told to resume;
--                gone from the log before they were read, all subscribers told to resume
--   place        how many entries Redis had ever given the log where this gateway began, or where
--                the epoch moved last
--   before       the sum of the four there
-- Nil when nobody has begun.
function _M.books()
    local text = state:get("done")
    if not text then
        return nil
    end
    local words = text:gmatch("%S+")
    local books = { position = cursor.parse(words()), place = tonumber(words()),
        before = tonumber(words()) }
    for _, name in ipairs(COLUMNS) do
        books[name] = tonumber(words())
    end
    return books
end

-- How many entries the books have, of all this gateway has ever had.
function _M.booked(books)
    local sum = 0
    for _, name in ipairs(COLUMNS) do
        sum = sum + books[name]
    end
    return sum
end

-- 8 hex digits for a new epoch.
local function candidate()
    return ("%08x"):format(math.random(0, 0xffffffff))
end

-- Says what does not make a cursor.
local function no_cursor(reply)
    local keys = config.get().keys
    if not cursor.is_epoch(reply[1]) then
        return "the key " .. keys.epoch .. " holds no epoch; delete it, and a new one begins"
    end
    return "the log's last id, " .. tostring(reply[2]) .. ", is one that no cursor can hold; "
        .. "delete the key " .. keys.log
end

-- The cursor a script answered, with the log's place there as `place`.
local function answered(reply)
    local found = cursor.of_entry(tostring(reply[1]), tostring(reply[2]))
    local place = tonumber(reply[3])
    if not found or not place then
        return nil, no_cursor(reply)
    end
    found.place = place
    return found
end

-- How many entries Redis has ever given the log up to the books' position, as the books have it.
function _M.place(books)
    return books.place + _M.booked(books) - books.before
end

-- Asks Redis for the epoch and the log's last id. Returns a cursor with its place; or nil and an
-- error.
function _M.ask(connection)
    local keys = config.get().keys
    local reply, err = connection:run("epoch", { keys.epoch, keys.log }, { candidate() })
    if not reply then
        return nil, err
    end
    return answered(reply)
end

-- Asks Redis to begin a new epoch because the log ends before `shown`. Returns the cursor that
-- holds now, also when somebody else was first; or nil and an error.
function _M.ask_to_move(connection, shown)
    local keys = config.get().keys
    local reply, err = connection:run("move_epoch", { keys.epoch, keys.log, keys.ledger },
        { shown.epoch, candidate(), whole(shown.ms), whole(shown.seq) })
    if not reply then
        return nil, err
    end
    return answered(reply)
end

function _M.now()
    return read("now")
end

function _M.done()
    return read("done")
end

-- Sets both to the log's end if nobody has yet. Returns now; or nil and an error.
function _M.begin()
    local now = read("now")
    if now then
        return now
    end
    local found, err = redis.with(_M.ask)
    if not found then
        return nil, err
    end
    -- `done` first: a tail goes on after it, and nobody may be told a `now` before it.
    state:add("done", found.text .. " " .. whole(found.place) .. " 0 0 0 0 0")
    state:add("begun", found.text)
    state:add("now", _M.done().text)
    return read("now")
end

-- How often the two were moved without the entries between having been handed over.
function _M.jumps()
    return state:get("jumps") or 0
end

-- The tail is about to hand over the entry at `position`. Never goes back within an epoch: a new
-- tail announces again what the last one announced and did not hand over. Returns whether nobody
-- had announced it.
function _M.announce(position)
    local now = read("now")
    if not now or now.epoch ~= position.epoch
        or cursor.is_after(position.ms, position.seq, now.ms, now.seq)
    then
        state:set("now", position.text)
        return true
    end
    return false
end

-- Where this gateway began; nil when nobody has.
function _M.begun()
    return state:get("begun")
end

-- The engine has taken everything up to `books.position`, and this is what became of it.
function _M.hand_over(books)
    write_done(books)
end

local function jump(books, found)
    -- First, so that whoever has seen the new place knows that it was jumped to.
    state:incr("jumps", 1, 0)
    books.position = found
    write_done(books)
    state:set("now", found.text)
end

-- Goes on at `found`, a position in another epoch: the log counts anew.
function _M.move(found)
    local books = _M.books()
    books.before, books.place = _M.booked(books), found.place
    jump(books, found)
end

-- Goes on at `found` because entries between `done` and it were cut off unread.
function _M.skip(found)
    local books = _M.books()
    books.cut = books.cut + math.max(0, found.place - _M.place(books))
    jump(books, found)
end

return _M
