-- LuaJIT, as nginx runs it; `ngx` is nginx' own global, parts of which are there to be set.
std = "luajit"
max_line_length = 100
globals = { "ngx" }
files["tests/lua"] = { std = "+busted" }
