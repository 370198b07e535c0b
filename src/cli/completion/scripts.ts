/** What each shell reads. The words come from `tandem __complete`, so they are this build's. */
export const SCRIPTS = {
  bash: `# bash completion for tandem
_tandem() {
  local line
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do
    [[ -n $line ]] && COMPREPLY+=("$line")
  done < <("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _tandem tandem`,

  zsh: `#compdef tandem
_tandem() {
  local -a found
  local word about
  while IFS=$'\\t' read -r word about; do
    [[ -n $word ]] && found+=("\${word//:/\\\\:}:$about")
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe 'tandem' found; else _files; fi
}
if [[ \${funcstack[1]} == _tandem ]]; then _tandem "$@"; else compdef _tandem tandem; fi`,

  fish: `# fish completion for tandem
function __tandem_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found ($words[1] __complete -- $words[2..-1] 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c tandem -f -a '(__tandem_complete)'`,
} as const;

export type Shell = keyof typeof SCRIPTS;
