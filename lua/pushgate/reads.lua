-- What requests of this worker want to know of Redis, asked for many of them at once: their
-- commands go in one MULTI/EXEC, each different one once.
--
-- Why: when all subscribers have been dropped, thousands come back within seconds, and most ask the
-- same of the same channels. Each by itself would keep a connection busy for it, and its buffers
-- would stay in the request's memory for as long as the stream lasts.
--
-- Why it is as good as a read of one's own: a request is answered by a transaction that is sent
-- after it has asked, so that whatever it took before it asked (subscribe.lua: counters, then
-- `now`) is older than what it reads; and all of its commands are in that one transaction, so that
-- their replies are of one moment. That others share the replies changes neither.
--
-- Phases: together() access; a timer, one a batch and one batch at a time, talks to Redis.

local semaphore = require("ngx.semaphore")

local redis = require("pushgate.redis")

local concat = table.concat

-- One transaction holds Redis up for all others: a millisecond or so with this many.
local MOST_COMMANDS = 64
local MOST_WAITING = 16384
-- Longer than Redis may take for an answer; who is behind thousands of others may wait for a few.
local WAIT_SECONDS = 10

local _M = {}

-- Questions, each {commands, keys, answered}, from number `first` to number `last`.
local waiting, first, last = {}, 1, 0
local is_asking = false

local function answer(question, replies, err)
    question.replies, question.err = replies, err
    question.answered:post()
end

-- Takes questions off the queue, in turn, as many as go into one transaction. Returns them, the
-- commands, and the place of each by its key.
local function take_batch()
    local batch, commands, places = {}, {}, {}
    while first <= last do
        local question = waiting[first]
        if #commands > 0 and #commands + #question.commands > MOST_COMMANDS then
            -- Perhaps they are there already, for another one.
            for _, key in ipairs(question.keys) do
                if not places[key] then
                    return batch, commands, places
                end
            end
        end
        waiting[first] = nil
        first = first + 1
        if not question.has_left then
            batch[#batch + 1] = question
            for i, key in ipairs(question.keys) do
                if not places[key] then
                    commands[#commands + 1] = question.commands[i]
                    places[key] = #commands
                end
            end
        end
    end
    return batch, commands, places
end

local function ask_for(batch, commands, places)
    local all, err = redis.with(function(connection)
        return connection:together(commands)
    end)
    for _, question in ipairs(batch) do
        local replies
        if all then
            replies = {}
            for i, key in ipairs(question.keys) do
                replies[i] = all[places[key]]
            end
        end
        answer(question, replies, err)
    end
end

local start

-- Also when the worker is about to exit: whoever waits is answered.
local function run()
    local batch, commands, places = take_batch()
    if #batch > 0 then
        local ok, err = pcall(ask_for, batch, commands, places)
        if not ok then
            for _, question in ipairs(batch) do
                answer(question, nil, "could not read for many: " .. tostring(err))
            end
        end
    end
    is_asking = false
    if first <= last then
        start()
    end
end

-- A timer's memory is given back when it ends, so each batch has one of its own.
start = function()
    is_asking = true
    local ok, err = ngx.timer.at(0, run)
    if not ok then
        is_asking = false
        while first <= last do
            answer(waiting[first], nil, "could not start a timer: " .. err)
            waiting[first] = nil
            first = first + 1
        end
    end
end

-- Runs commands that change nothing, each a list, as part of one MULTI/EXEC.
-- Returns their replies in order, an error reply as {false, text}; or nil and an error. Others may
-- have been given the same replies: they are not to be changed.
function _M.together(commands)
    if last - first + 1 >= MOST_WAITING then
        return nil, MOST_WAITING .. " requests wait for Redis already"
    end
    local keys = {}
    for i = 1, #commands do
        keys[i] = concat(commands[i], "\n")
    end
    local question = { commands = commands, keys = keys, answered = semaphore.new(0) }
    last = last + 1
    waiting[last] = question
    if not is_asking then
        start()
    end
    local ok, err = question.answered:wait(WAIT_SECONDS)
    if not ok then
        question.has_left = true
        return nil, "waited for Redis in vain: " .. err
    end
    return question.replies, question.err
end

return _M
