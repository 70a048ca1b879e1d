using System.CommandLine;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath adapter</c>: the verbs of adapters, each in its own file.</summary>
internal static class AdapterVerb
{
    internal static Command Make() => new("adapter", "Reads and writes adapters.")
    {
        AdapterImportVerb.Make(), AdapterInfoVerb.Make(), AdapterMergeVerb.Make(), AdapterUnmergeVerb.Make(), AdapterDiffVerb.Make(),
        AdapterConvertVerb.Make(), AdapterCombineVerb.Make(),
    };
}
