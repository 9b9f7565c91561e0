local stand_ins = require("stand_ins")

-- No process has these.
local DEAD, OTHER_DEAD = 4194305, 4194306

describe("the counters", function()
    local nginx

    -- A worker of that pid, on the same shared dict.
    local function worker(pid)
        nginx.pid = pid
        package.loaded["pushgate.counters"] = nil
        return require("pushgate.counters")
    end

    before_each(function()
        nginx = stand_ins.begin({ "counters" })
    end)

    it("add up over workers", function()
        local first = worker(DEAD)
        first.add("a")
        first.add("a", 2)
        first.flush()
        local second = worker(OTHER_DEAD)
        second.add("a", 4)
        second.add("b:x", 0.5)
        local found = second.read()
        assert.equal(7, found.a)
        assert.equal(0.5, found["b:x"])
    end)

    it("keep what a worker counted when it ends", function()
        local first = worker(DEAD)
        first.add("a", 3)
        first.finish()
        assert.is_nil(nginx.shared.pushgate_counts.values["worker:" .. DEAD])
        assert.equal(3, worker(OTHER_DEAD).read().a)
        assert.equal(0, worker(OTHER_DEAD).read().workers_killed)
    end)

    it("have a killed worker's last record, and its open streams as lost", function()
        local first = worker(DEAD)
        first.add("streams_opened", 5)
        first.add("streams_ended", 2)
        first.flush()
        first.add("streams_opened")
        local second = worker(OTHER_DEAD)
        second.start()
        local found = second.read()
        assert.equal(5, found.streams_opened)
        assert.equal(3, found.streams_lost)
        assert.equal(1, found.workers_killed)
    end)

    it("throw nobody else's record out when there is no room, and say so once", function()
        local said = 0
        function nginx.log(level)
            said = said + (level == nginx.ERR and 1 or 0)
        end
        local first = worker(DEAD)
        first.add("a")
        nginx.shared.pushgate_counts.is_full = true
        first.flush()
        first.flush()
        assert.equal(1, said)
        assert.is_nil(nginx.shared.pushgate_counts.values["worker:" .. DEAD])
        nginx.shared.pushgate_counts.is_full = false
        first.flush()
        assert.equal(1, worker(OTHER_DEAD).read().a)
    end)

    it("count large numbers exactly", function()
        local one = worker(DEAD)
        one.add("bytes", 2 ^ 52)
        one.add("bytes", 1)
        assert.equal(2 ^ 52 + 1, one.read().bytes)
    end)
end)
