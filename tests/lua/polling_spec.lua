-- What a poll answers, with stand-ins for all that is around it.

local cursor = require("pushgate.cursor")

local EPOCH = "00000000"

local function at(seq, epoch)
    return cursor.of_entry(epoch or EPOCH, "1-" .. seq)
end

local function block(seq, event, data)
    return "id: " .. at(seq).text .. "\nevent: " .. (event or "a") .. "\ndata: " .. (data or "{}")
        .. "\n\n"
end

local function prologue(seq)
    return "retry: 1\nid: " .. at(seq).text .. "\n\n"
end

local function frame(seq)
    return '{"id":"' .. at(seq).text .. '","event":"a","data":"{}"}'
end

local function answer_of(seq, frames, reset)
    return '{"cursor":"' .. at(seq).text .. '","frames":[' .. table.concat(frames, ",")
        .. '],"reset":' .. (reset or "null") .. "}\n"
end

describe("a poll", function()
    local polling, answered, done, begin, waits, leaves, subscriber

    setup(function()
        _G.ngx = { shared = { pushgate_state = {} }, header = {}, now = function() return 1 end }
        local stand_ins = {
            ["cjson.safe"] = { encode = function(text) return '"' .. text .. '"' end },
            ["pushgate.answer"] = { json = function(_, text) answered = text end },
            ["pushgate.config"] = { get = function() return { poll_seconds = 25 } end },
            ["pushgate.counters"] = { add = function() end },
            ["pushgate.generation"] = { is_current = function() return true end },
            ["pushgate.position"] = { done = function() return done end },
            ["pushgate.refusal"] = { for_now = function(reason) answered = reason end },
            ["pushgate.stay"] = { reason_to_leave = function() return leaves end },
            ["pushgate.subscribe"] = { begin = function(...) return begin(...) end },
            ["pushgate.waiting_room"] = { wait = function() waits = waits + 1 end },
        }
        for name, stand_in in pairs(stand_ins) do
            package.loaded[name] = stand_in
        end
        package.loaded["pushgate.polling"] = nil
        polling = require("pushgate.polling")
    end)

    before_each(function()
        answered, done, waits, leaves = nil, at(0), 0, nil
        subscriber = { names = { "a" }, epoch = EPOCH, ms = 1, seq = 0, leaves_ms = math.huge,
            joining = { counts = { 0 }, jumps = 0, head = prologue(0) } }
        begin = function() return subscriber.joining.head, false end
    end)

    it("moves on to what the engine had taken before it looked, and no further", function()
        done = at(5)
        begin = function()
            -- Another worker notes a frame of this channel and hands it over.
            done = at(7)
            return prologue(0), false
        end
        polling.run(subscriber)
        assert.equal(answer_of(5, {}), answered)
        assert.equal(1, waits)
    end)

    it("stays where it is when frames are gone that it should have seen", function()
        done = at(5)
        begin = function() return prologue(0), true end
        polling.run(subscriber)
        assert.equal(answer_of(0, {}), answered)
    end)

    it("is never taken back by an engine that is behind", function()
        begin = function()
            subscriber.seq = 4
            return prologue(0) .. block(4), false
        end
        done = at(2)
        polling.run(subscriber)
        assert.equal(answer_of(4, { frame(4) }), answered)
    end)

    it("does not wait when there is something", function()
        subscriber.joining.head = prologue(0) .. block(1) .. block(2)
        subscriber.seq = 2
        polling.run(subscriber)
        assert.equal(answer_of(2, { frame(1), frame(2) }), answered)
        assert.equal(0, waits)
    end)

    it("takes a part of a long history without what is live", function()
        subscriber.joining.head, subscriber.joining.ends = prologue(0) .. block(1), true
        subscriber.seq = 1
        begin = function() error("it would leave out the rest of the history") end
        done = at(9)
        polling.run(subscriber)
        assert.equal(answer_of(1, { frame(1) }), answered)
    end)

    it("has a reset in front of the frames, or in an answer of its own", function()
        local reset = '{"reason":"deleted"}'
        done = at(9)
        subscriber.joining.head = prologue(0) .. block(1) .. block(2, "reset", reset) .. block(3)
        subscriber.seq = 3
        polling.run(subscriber)
        assert.equal(answer_of(1, { frame(1) }), answered)
        subscriber.joining.head = prologue(1) .. block(2, "reset", reset) .. block(3)
        polling.run(subscriber)
        assert.equal(answer_of(9, { frame(3) }, reset), answered)
        subscriber.joining.head = prologue(1) .. block(2, "reset", reset) .. block(3, "reset", "{}")
        polling.run(subscriber)
        assert.equal(answer_of(2, {}, reset), answered)
    end)

    it("does not mix epochs", function()
        done = at(9, "11111111")
        polling.run(subscriber)
        assert.equal(answer_of(0, {}), answered)
    end)

    it("gives nothing to who may not stay", function()
        leaves, done = "revoked", at(9)
        subscriber.joining.head, subscriber.seq = prologue(0) .. block(1), 1
        polling.run(subscriber)
        assert.equal("revoked", answered)
    end)
end)
