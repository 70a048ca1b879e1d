using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>Copies an ELF64 library with one version need marked weak (VER_FLG_WEAK), so that an older runtime that lacks the version still loads it.</summary>
public class WeakenVersionNeed : Task
{
    const uint VersionNeedSection = 0x6ffffffe;
    const ushort Weak = 2;

    /// <summary>The library as published.</summary>
    [Required]
    public string Source { get; set; }

    /// <summary>The mended copy.</summary>
    [Required]
    public string Target { get; set; }

    /// <summary>The version whose need is weakened.</summary>
    [Required]
    public string Version { get; set; }

    /// <inheritdoc/>
    public override bool Execute()
    {
        var bytes = File.ReadAllBytes(Source);
        if (bytes.Length < 64 || bytes[0] != 0x7f || bytes[1] != 'E' || bytes[2] != 'L' || bytes[3] != 'F' || bytes[4] != 2 || bytes[5] != 1)
        {
            Log.LogError("{0} is not a little-endian ELF64 library.", Source);
            return false;
        }
        Mend(bytes);
        Directory.CreateDirectory(Path.GetDirectoryName(Target));
        // Written beside and moved, so that a build beside this one never sees half a file.
        var temporary = Target + "." + Guid.NewGuid().ToString("N");
        File.WriteAllBytes(temporary, bytes);
        if (File.Exists(Target)) File.Delete(Target);
        File.Move(temporary, Target);
        return true;
    }

    void Mend(byte[] bytes)
    {
        var sections = (long)BitConverter.ToUInt64(bytes, 0x28);
        int size = BitConverter.ToUInt16(bytes, 0x3a), count = BitConverter.ToUInt16(bytes, 0x3c);
        for (var i = 0; i < count; i++)
        {
            var section = sections + (long)i * size;
            if (BitConverter.ToUInt32(bytes, (int)section + 4) != VersionNeedSection) continue;
            var strings = (long)BitConverter.ToUInt64(bytes, (int)(sections + BitConverter.ToUInt32(bytes, (int)section + 40) * (long)size) + 24);
            MendNeeds(bytes, (int)BitConverter.ToUInt64(bytes, (int)section + 24), (int)strings);
        }
    }

    // Elf64_Verneed: version, count (2), file (4), first auxiliary (8), next need (12). Elf64_Vernaux: hash, flags (4), index (6), name (8), next (12).
    void MendNeeds(byte[] bytes, int need, int strings)
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

    static string NameAt(byte[] bytes, int start)
    {
        var end = Array.IndexOf(bytes, (byte)0, start);
        return Encoding.ASCII.GetString(bytes, start, end - start);
    }
}
