using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>Copies a library with some of its bytes changed; the published file stays as it is.</summary>
public abstract class MendedLibrary : Task
{
    /// <summary>The library as published.</summary>
    [Required]
    public string Source { get; set; }

    /// <summary>The mended copy.</summary>
    [Required]
    public string Target { get; set; }

    /// <summary>Changes the bytes.</summary>
    /// <returns>What is wrong with the library; null for nothing.</returns>
    protected abstract string Mend(byte[] bytes);

    /// <inheritdoc/>
    public override bool Execute()
    {
        var bytes = File.ReadAllBytes(Source);
        if (Mend(bytes) is string fault)
        {
            Log.LogError("{0} {1}", Source, fault);
            return false;
        }
        Directory.CreateDirectory(Path.GetDirectoryName(Target));
        // Written beside and moved, so that a build beside this one never sees half a file.
        var temporary = Target + "." + Guid.NewGuid().ToString("N");
        File.WriteAllBytes(temporary, bytes);
        if (File.Exists(Target)) File.Delete(Target);
        File.Move(temporary, Target);
        return true;
    }
}

/// <summary>
/// An ELF64 library with one version need marked weak (VER_FLG_WEAK), so that an older runtime that lacks the version still loads it.
/// </summary>
public class WeakenVersionNeed : MendedLibrary
{
    private const uint VersionNeedSection = 0x6ffffffe;
    private const ushort Weak = 2;

    /// <summary>The version whose need is weakened.</summary>
    [Required]
    public string Version { get; set; }

    /// <inheritdoc/>
    protected override string Mend(byte[] bytes)
    {
        if (bytes.Length < 64 || bytes[0] != 0x7f || bytes[1] != 'E'
            || bytes[2] != 'L' || bytes[3] != 'F' || bytes[4] != 2 || bytes[5] != 1)
            return "is not a little-endian ELF64 library.";
        var sections = (long)BitConverter.ToUInt64(bytes, 0x28);
        int size = BitConverter.ToUInt16(bytes, 0x3a), count = BitConverter.ToUInt16(bytes, 0x3c);
        for (var i = 0; i < count; i++)
        {
            var section = sections + (long)i * size;
            if (BitConverter.ToUInt32(bytes, (int)section + 4) != VersionNeedSection) continue;
            var strings = (long)BitConverter.ToUInt64(
                bytes, (int)(sections + BitConverter.ToUInt32(bytes, (int)section + 40) * (long)size) + 24);
            MendNeeds(bytes, (int)BitConverter.ToUInt64(bytes, (int)section + 24), (int)strings);
        }
        return null;
    }

    // Elf64_Verneed: version, count (2), file (4), first auxiliary (8), next need (12). Elf64_Vernaux: hash, flags (4), index (6), name
    // (8), next (12).
    private void MendNeeds(byte[] bytes, int need, int strings)
    {
        while (true)
        {
            var auxiliary = need + BitConverter.ToInt32(bytes, need + 8);
            for (int i = 0, n = BitConverter.ToUInt16(bytes, need + 2); i < n; i++)
            {
                if (NameAt(bytes, strings + BitConverter.ToInt32(bytes, auxiliary + 8)) == Version)
                    bytes[auxiliary + 4] |= (byte)Weak;
                auxiliary += BitConverter.ToInt32(bytes, auxiliary + 12);
            }
            var next = BitConverter.ToInt32(bytes, need + 12);
            if (next == 0) return;
            need += next;
        }
    }

    private static string NameAt(byte[] bytes, int start)
    {
        var end = Array.IndexOf(bytes, (byte)0, start);
        return Encoding.ASCII.GetString(bytes, start, end - start);
    }
}

/// <summary>
/// A managed library whose code is marked as not to be optimised (<c>DebuggableAttribute</c>: DisableOptimizations). Unoptimised methods
/// keep their arguments alive until they return; optimised ones let the collector finalise an argument whose last use is behind it, such as
/// a wrapper whose native handle a native call is still working on.
/// </summary>
public class KeepArguments : MendedLibrary
{
    // The value of [assembly: Debuggable(DebuggingModes.IgnoreSymbolStoreSequencePoints)] as the compiler writes it: its length, a prolog,
    // the argument, no named ones.
    private static readonly byte[] optimised = { 8, 1, 0, 2, 0, 0, 0, 0, 0 };

    /// <inheritdoc/>
    protected override string Mend(byte[] bytes)
    {
        var place = Find(bytes, 0);
        if (place < 0 || Find(bytes, place + 1) >= 0)
            return "does not say once that it is optimised: it is not the version of TorchSharp that this build knows how to mend.";
        // DebuggingModes: Default (1), IgnoreSymbolStoreSequencePoints (2), DisableOptimizations (0x100).
        bytes[place + 3] = 0x03;
        bytes[place + 4] = 0x01;
        return null;
    }

    private static int Find(byte[] bytes, int from)
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
