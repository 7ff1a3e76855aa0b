-- Run by Neovim in a test, after the configuration of docs/how-to/editors.md: writes what the user would see to seen.txt.
local seen = {}
local function see(...)
  table.insert(seen, table.concat({ ... }, " "))
end

local function finish(code)
  vim.fn.writefile(seen, "seen.txt")
  vim.cmd(code == 0 and "qall!" or "cquit!")
end

local function wait(what, holds)
  if not vim.wait(60000, holds, 20) then
    see("waited in vain for " .. what)
    finish(1)
  end
end

-- The answer of the one server to a request about the place of the cursor.
local function ask(method, more)
  local params = vim.lsp.util.make_position_params()
  for key, value in pairs(more or {}) do
    params[key] = value
  end
  local answers = vim.lsp.buf_request_sync(0, method, params, 60000) or {}
  for _, answer in pairs(answers) do
    return answer.result
  end
end

local function main()
  wait("a server", function()
    return #vim.lsp.buf_get_clients(0) > 0
  end)
  see("omnifunc", vim.bo.omnifunc)
  wait("a problem", function()
    return #vim.diagnostic.get(0) > 0
  end)
  for _, problem in ipairs(vim.diagnostic.get(0)) do
    local first = problem.message:match("^[^\n]*")
    see("problem", (problem.lnum + 1) .. ":" .. problem.col .. "-" .. (problem.end_lnum + 1) .. ":" .. problem.end_col, first)
  end

  -- In front of the m of visit['m'].
  vim.api.nvim_win_set_cursor(0, { 1, 29 })
  local labels = {}
  for _, item in ipairs(ask("textDocument/completion").items) do
    table.insert(labels, item.label)
  end
  see("completion", table.concat(labels, " "))

  vim.api.nvim_buf_set_text(0, 0, 29, 0, 30, { "n" })
  see("hover", ask("textDocument/hover").contents.value:match("^[^\n]*"))
  local place = ask("textDocument/definition")[1]
  local file = vim.uri_to_fname(place.uri):match("[^/]*/[^/]*$")
  see("definition", file .. ":" .. (place.range.start.line + 1))

  vim.api.nvim_buf_set_lines(0, 0, -1, false, { "select id as item_id from source" })
  local range = { start = { line = 0, character = 0 }, ["end"] = { line = 0, character = 0 } }
  local action = ask("textDocument/codeAction", { range = range, context = { diagnostics = {} } })[1]
  vim.lsp.util.apply_workspace_edit(action.edit, "utf-16")
  see("action", table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "|"))
  wait("the problem to go", function()
    return #vim.diagnostic.get(0) == 0
  end)
  see("problems", tostring(#vim.diagnostic.get(0)))
end

local ok, problem = pcall(main)
if not ok then
  see(tostring(problem))
end
finish(ok and 0 or 1)
