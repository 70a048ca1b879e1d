using System;
using System.IO;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Copies a managed library with its code marked as not to be optimised (<c>DebuggableAttribute</c>: DisableOptimizations). Unoptimised methods keep their arguments alive until they return; optimised
/// ones let the collector finalise an argument whose last use is behind it, such as a wrapper whose native handle a native call is still working on.
/// </summary>
public class KeepArguments : Task
{
    // The value of [assembly: Debuggable(DebuggingModes.IgnoreSymbolStoreSequencePoints)] as the compiler writes it: its length, a prolog, the argument, no named ones.
    static readonly byte[] optimised = { 8, 1, 0, 2, 0, 0, 0, 0, 0 };

    /// <summary>The library as published.</summary>
    [Required]
    public string Source { get; set; }

    /// <summary>The mended copy.</summary>
    [Required]
    public string Target { get; set; }

    /// <inheritdoc/>
    public override bool Execute()
    {
        var bytes = File.ReadAllBytes(Source);
        var place = Find(bytes, 0);
        if (place < 0 || Find(bytes, place + 1) >= 0)
        {
            Log.LogError("{0} does not say once that it is optimised: it is not the version of TorchSharp that this build knows how to mend.", Source);
            return false;
        }
        // DebuggingModes: Default (1), IgnoreSymbolStoreSequencePoints (2), DisableOptimizations (0x100).
        bytes[place + 3] = 0x03;
        bytes[place + 4] = 0x01;
        Directory.CreateDirectory(Path.GetDirectoryName(Target));
        // Written beside and moved, so that a build beside this one never sees half a file.
        var temporary = Target + "." + Guid.NewGuid().ToString("N");
        File.WriteAllBytes(temporary, bytes);
        if (File.Exists(Target)) File.Delete(Target);
        File.Move(temporary, Target);
        return true;
    }

    static int Find(byte[] bytes, int from)
    {
        for (var i = from; i <= bytes.Length - optimised.Length; i++)
        {
            var j = 0;
            while (j < optimised.Length && bytes[i + j] == optimised[j]) j++;
            if (j == optimised.Length) return i;
        }
        return -1;
    }
}
