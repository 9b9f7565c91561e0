-- Streams whose frames are noted by the tail and come by the engine, one by one.

local stand_ins = require("stand_ins")

local EPOCH = "00000000"

describe("the audit", function()
    local audit, counters, cursor, recent, subscriber

    local function at(seq)
        return cursor.of_entry(EPOCH, "1-" .. seq)
    end

    local function note(seq, ...)
        for _, name in ipairs({ ... }) do
            recent.note(name, "id: " .. at(seq).text .. "\nevent: a\ndata: {}\n\n")
        end
    end

    -- As subscribe.pass() takes a frame.
    local function come(seq)
        if seq > subscriber.seq then
            subscriber.seq, subscriber.passed = seq, subscriber.passed + 1
        else
            audit.again(subscriber, 1, seq)
        end
    end

    -- A stream of these channels that has everything up to the first number; its history, up to the
    -- second.
    local function begin(now, history, ...)
        local names, numbers, stamps = { ... }, {}, {}
        for i, name in ipairs(names) do
            numbers[i], stamps[i] = recent.count(name)
        end
        subscriber = { names = names, stamps = stamps,
            epoch = EPOCH, ms = 1, seq = history, passed = 0 }
        audit.begin(subscriber, numbers, at(now))
    end

    local function books()
        audit.finish(subscriber)
        local found = counters.held
        return { found.owed or 0, found.came or 0, found.short or 0, found.unaudited or 0 }
    end

    before_each(function()
        stand_ins.begin({ "counters", "audit", "recent" })
        cursor = require("pushgate.cursor")
        recent = require("pushgate.recent")
        counters = require("pushgate.counters")
        audit = require("pushgate.audit")
    end)

    teardown(function()
    end)

    it("finds nothing amiss in a stream that got everything", function()
        begin(0, 0, "a")
        for seq = 1, 5 do
            note(seq, "a")
            come(seq)
        end
        assert.same({ 4, 4, 0, 0 }, books())
    end)

    it("misses a frame in front of the cursor", function()
        begin(0, 0, "a")
        for seq = 1, 5 do
            note(seq, "a")
            if seq ~= 3 then
                come(seq)
            end
        end
        assert.same({ 4, 3, 1, 0 }, books())
    end)

    it("says at any time how many frames are missing in front of the cursor", function()
        begin(0, 0, "a", "b")
        note(1, "a")
        note(2, "b")
        note(3, "b")
        come(1)
        assert.equal(0, audit.lacking(subscriber))
        come(3)
        assert.equal(1, audit.lacking(subscriber))
        audit.give_up(subscriber)
        assert.equal(0, audit.lacking(subscriber))
    end)

    it("leaves what is behind the cursor to the client's next connect", function()
        begin(0, 0, "a")
        note(1, "a")
        come(1)
        note(2, "a")
        note(3, "a")
        assert.same({ 0, 0, 0, 0 }, books())
    end)

    -- Notes a frame, and says what the stream lacks after each step of that: it is another worker
    -- that notes.
    local function lacking_while_noted(seq)
        local dict, most = ngx.shared.pushgate_recent, 0
        local steps = { add = dict.add, incr = dict.incr, set = dict.set }
        for name, step in pairs(steps) do
            dict[name] = function(...)
                local value, err, forcible = step(...)
                most = math.max(most, audit.lacking(subscriber))
                return value, err, forcible
            end
        end
        note(seq, "a")
        for name, step in pairs(steps) do
            dict[name] = step
        end
        return most
    end

    it("owes nobody a frame that is being noted at this moment", function()
        begin(0, 0, "a")
        note(1, "a")
        come(1)
        note(2, "a")
        come(2)
        assert.equal(0, lacking_while_noted(3))
        assert.same({ 1, 1, 0, 0 }, books())
    end)

    it("owes nobody a frame that is being noted when those before it have left for their age",
        function()
            begin(0, 0, "a")
            note(1, "a")
            come(1)
            ngx.shared.pushgate_recent:delete("fa 1")
            assert.equal(0, lacking_while_noted(2))
            assert.same({ 1, 1, 0, 0 }, books())
        end)

    it("owes nobody a channel's first frame that is being noted", function()
        begin(0, 0, "b", "a")
        note(1, "b")
        come(1)
        assert.equal(0, lacking_while_noted(2))
        assert.same({ 0, 0, 0, 0 }, books())
    end)

    it("has each frame of two tails that note at the same time", function()
        begin(0, 0, "a")
        local dict = ngx.shared.pushgate_recent
        local incr = dict.incr
        function dict:incr(key, ...)
            if key == "ca" then
                dict.incr = incr
                note(2, "a")
            end
            return incr(self, key, ...)
        end
        note(1, "a")
        local list = {}
        assert.equal(recent.newest("a"), recent.append_since("a", subscriber.numbers[1], list))
        assert.equal(2, cursor.of_block(list[1]).seq)
        assert.equal(1, cursor.of_block(list[2]).seq)
    end)

    it("owes frames that have left for their age", function()
        begin(0, 0, "a")
        for seq = 1, 3 do
            note(seq, "a")
            if seq ~= 2 then
                come(seq)
            end
        end
        for number = 1, 3 do
            ngx.shared.pushgate_recent:delete("fa " .. number)
        end
        assert.same({ 3, 2, 1, 0 }, books())
    end)

    it("counts an entry of two channels twice on both sides", function()
        begin(0, 0, "a", "b")
        for seq = 1, 3 do
            note(seq, "a", "b")
            come(seq)
            come(seq)
        end
        assert.same({ 4, 4, 0, 0 }, books())
    end)

    it("is not misled by an end between the two copies of the last frame", function()
        begin(0, 0, "a", "b")
        note(1, "a", "b")
        come(1)
        come(1)
        note(2, "a", "b")
        come(2)
        assert.same({ 2, 2, 0, 0 }, books())
    end)

    it("does not owe twice what a history had that was ahead of the tail", function()
        begin(1, 3, "a")
        for seq = 1, 5 do
            note(seq, "a")
            come(seq)
        end
        assert.equal(0, books()[3])
    end)

    it("gives up when numbers were thrown out", function()
        begin(0, 0, "a")
        ngx.shared.pushgate_recent.is_full = true
        note(1, "a")
        come(1)
        assert.same({ 0, 0, 0, 1 }, books())
    end)

    it("gives up when a channel is counted anew", function()
        begin(0, 0, "a")
        note(1, "b")
        ngx.shared.pushgate_recent:delete("ca")
        note(2, "a")
        come(2)
        assert.same({ 0, 0, 0, 1 }, books())
    end)

    it("gives up when the epoch has moved", function()
        begin(0, 0, "a")
        audit.give_up(subscriber)
        assert.same({ 0, 0, 0, 1 }, books())
    end)
end)
