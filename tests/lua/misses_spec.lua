-- A subscriber that an engine has forgotten, with a stand-in for the recent frames.

local cursor = require("pushgate.cursor")

describe("a subscriber at rest", function()
    local lacking, misses, now, noted

    local function block(seq)
        return "id: 00000000.1-" .. seq .. "\nevent: a\ndata: {}\n\n"
    end

    local function subscriber_at(seq)
        local at = cursor.of_entry("00000000", "1-" .. seq)
        return { names = { "a" }, epoch = at.epoch, ms = at.ms, seq = at.seq }
    end

    -- Looks, and lets a ping's time go by.
    local function look(subscriber)
        local missed = misses.look(subscriber)
        now = now + 15
        return missed
    end

    before_each(function()
        lacking, now, noted = 0, 100, {}
        package.loaded["pushgate.monotonic"] = { now = function() return now end }
        package.loaded["pushgate.recent"] = {
            total = function() return #noted end,
            newest = function() return #noted > 0 and #noted or nil end,
            frame = function(_, number) return noted[number] end,
        }
        package.loaded["pushgate.audit"] = { lacking = function() return lacking end }
        package.loaded["pushgate.misses"] = nil
        misses = require("pushgate.misses")
    end)

    it("has missed a frame that was there at the last look and did not come", function()
        local subscriber = subscriber_at(0)
        assert.is_nil(look(subscriber))
        noted[1] = block(1)
        assert.is_nil(look(subscriber))
        assert.equal("missed", look(subscriber))
    end)

    it("has missed none that came, and none that has just been handed over", function()
        local subscriber = subscriber_at(0)
        for seq = 1, 4 do
            assert.is_nil(look(subscriber))
            noted[seq] = block(seq)
            subscriber.seq = seq - 1
        end
        subscriber.seq = 4
        assert.is_nil(look(subscriber))
        noted = {}
        assert.is_nil(look(subscriber))
    end)

    it("has a gap when fewer frames came than were owed, however far it has got", function()
        local subscriber = subscriber_at(0)
        assert.is_nil(look(subscriber))
        noted[1], noted[2] = block(1), block(2)
        subscriber.seq, lacking = 2, 1
        assert.equal("gap", look(subscriber))
    end)

    it("is not looked at twice within one ping's time", function()
        local subscriber = subscriber_at(0)
        noted[1] = block(1)
        assert.is_nil(misses.look(subscriber))
        now = now + 1
        assert.is_nil(misses.look(subscriber))
        now = now + 10
        assert.equal("missed", misses.look(subscriber))
    end)

    it("knows nothing of frames of another epoch", function()
        local subscriber = subscriber_at(0)
        subscriber.epoch = "00000001"
        noted[1] = block(1)
        assert.is_nil(look(subscriber))
        assert.is_nil(look(subscriber))
    end)
end)
