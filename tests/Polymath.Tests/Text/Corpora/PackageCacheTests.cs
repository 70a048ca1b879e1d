using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Corpora;

[Trait("kind", "unit")]
public sealed class PackageCacheTests : IDisposable
{
    private const string Address = "npm:@poems/tang@1.2.3/dist/*.txt";
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void APackageIsFetchedOnceAndThenReadWithoutAClient()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the client of the test is a shell script");
        var digest = Archive("package/dist/b.txt", "package/dist/a.txt", "package/readme.md");
        var files = Cache(Script("cp \"$ARCHIVE\" \"$4\"/poems-tang-1.2.3.tgz"))
            .Resolve(Address, "sha512-" + digest, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal(["a.txt", "b.txt"], files.Select(Path.GetFileName));
        Assert.Equal(files, Cache("no-such-client").Resolve(Address, digest, cancellation: TestContext.Current.CancellationToken));
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries(folder.At("cache"), "*.part", SearchOption.AllDirectories), _ => true);
    }

    [Fact]
    public async Task TwoAtOnceDoNotDisturbEachOther()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the client of the test is a shell script");
        var digest = Archive("package/dist/a.txt");
        var script = Script("sleep 0.2; cp \"$ARCHIVE\" \"$4\"/poems-tang-1.2.3.tgz; echo x >> \"$ARCHIVE.calls\"");
        var found = await Task.WhenAll(Enumerable.Range(0, 4)
            .Select(_ => Task.Run(() => Cache(script).Resolve(Address, digest, cancellation: TestContext.Current.CancellationToken))));
        Assert.All(found, files => Assert.True(File.Exists(Assert.Single(files))));
        Assert.Single(await File.ReadAllLinesAsync(folder.At("archive.tgz.calls"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public void AnotherDigestIsRefusedAndNothingIsKept()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the client of the test is a shell script");
        var found = Archive("package/dist/a.txt");
        var wanted = Convert.ToBase64String(new byte[64]);
        var fault = Refusal(Script("cp \"$ARCHIVE\" \"$4\"/x.tgz"), wanted);
        Assert.Contains(found, fault, StringComparison.Ordinal);
        Assert.Contains(wanted, fault, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.At("cache"), "*.txt", SearchOption.AllDirectories));
    }

    [Fact]
    public void TheMessageNamesEveryPackageThatIsMissing()
    {
        var refusal = Assert.Throws<InputException>(() => Cache("no-such-client").Resolve(
            Address,
            Archive("package/a"),
            null,
            [Address, "npm:tables@2.0.0/a.js", "npm:tables@2.0.0/b.js"],
            TestContext.Current.CancellationToken));
        Assert.Contains("Get poems-tang-1.2.3.tgz and tables-2.0.0.tgz on another machine", refusal.Message);
        Assert.Contains("tables@2.0.0) and put them into", refusal.Message);
    }

    [Fact]
    public void WithoutAClientTheArchiveCanBePlacedByHand()
    {
        var digest = Archive("package/dist/a.txt");
        var fault = Refusal("no-such-client", digest);
        Assert.Contains("poems-tang-1.2.3.tgz", fault, StringComparison.Ordinal);
        Assert.Contains(folder.At("cache"), fault, StringComparison.Ordinal);
        File.Copy(folder.At("archive.tgz"), folder.At("cache", "poems-tang-1.2.3.tgz"));
        Assert.Single(Cache("no-such-client").Resolve(Address, digest, cancellation: TestContext.Current.CancellationToken));
    }

    [Fact]
    public void AClientThatFailsIsQuoted()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the client of the test is a shell script");
        Assert.Contains(
            "no such version",
            Refusal(Script("echo 'npm error no such version' >&2; exit 1"), Archive("package/a")),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("package/../../evil.txt")]
    [InlineData("/package/evil.txt")]
    [InlineData("package/..\\evil.txt")]
    [InlineData("evil.txt")]
    public void EntriesThatLandOutsideAreRefused(string name)
    {
        var digest = Archive("package/dist/a.txt", name);
        Directory.CreateDirectory(folder.At("cache"));
        File.Copy(folder.At("archive.tgz"), folder.At("cache", "poems-tang-1.2.3.tgz"));
        Assert.Contains("outside", Refusal("no-such-client", digest), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path, "*.txt", SearchOption.AllDirectories));
    }

    [Fact]
    public void LinksAreRefused()
    {
        var digest = Archive(new PaxTarEntry(TarEntryType.SymbolicLink, "package/dist/a.txt") { LinkName = "/etc/hostname" });
        Directory.CreateDirectory(folder.At("cache"));
        File.Copy(folder.At("archive.tgz"), folder.At("cache", "poems-tang-1.2.3.tgz"));
        Assert.Contains("SymbolicLink", Refusal("no-such-client", digest), StringComparison.Ordinal);
    }

    [Fact]
    public void WhatAnInterruptedProcessLeftIsNotTrusted()
    {
        var digest = Archive("package/dist/a.txt");
        var unpacked = Path.GetDirectoryName(
            Path.GetDirectoryName(Placed(digest).Resolve(Address, digest, cancellation: TestContext.Current.CancellationToken)[0]))!;
        var folder = Path.GetDirectoryName(unpacked)!;
        File.Delete(Path.Combine(folder, "sha512"));
        File.WriteAllText(Path.Combine(unpacked, "dist", "half.txt"), "half");
        Directory.CreateDirectory(folder + ".part");
        Assert.Equal(
            ["a.txt"],
            Cache("no-such-client").Resolve(Address, digest, cancellation: TestContext.Current.CancellationToken).Select(Path.GetFileName));
        Assert.False(Directory.Exists(folder + ".part"));
    }

    [Fact]
    public void CancellingEndsTheClientAndLeavesNothing()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the client of the test is a shell script");
        using var source = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
        Assert.ThrowsAny<OperationCanceledException>(
            () => Cache(Script("sleep 30")).Resolve(Address, Archive("package/a"), cancellation: source.Token));
        Assert.Empty(Directory.GetDirectories(folder.At("cache", "npm")));
    }

    [Theory]
    [InlineData("npm:a@1.0.0", "npm:PACKAGE@VERSION/path")]
    [InlineData("npm:-rf@1.0.0/x", "npm:PACKAGE@VERSION/path")]
    [InlineData("npm:a@latest/x", "npm:PACKAGE@VERSION/path")]
    [InlineData("npm:a@1.0.0/../x", "npm:PACKAGE@VERSION/path")]
    public void OtherAddressesAreRefused(string address, string expected)
        => Assert.Contains(expected, Assert.Throws<InputException>(() => Cache("npm")
            .Resolve(address, null, cancellation: TestContext.Current.CancellationToken)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(null)]
    [InlineData("abc")]
    public void ADigestIsNeeded(string? digest) => Assert.Contains("dist.integrity", Refusal("npm", digest), StringComparison.Ordinal);

    private string Refusal(string client, string? digest) => Assert.Throws<InputException>(
        () => Cache(client).Resolve(Address, digest, cancellation: TestContext.Current.CancellationToken)).Message;

    private PackageCache Cache(string client) => new(folder.At("cache"), client);

    private PackageCache Placed(string digest)
    {
        Assert.NotEmpty(digest);
        Directory.CreateDirectory(folder.At("cache"));
        File.Copy(folder.At("archive.tgz"), folder.At("cache", "poems-tang-1.2.3.tgz"));
        return Cache("no-such-client");
    }

    private string Script(string body)
    {
        var file =
            folder.Write("client.sh", $"#!/bin/sh\nARCHIVE='{folder.At("archive.tgz")}'\nset -- \"$1\" \"$2\" \"$3\" \"$5\"\n{body}\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        return file;
    }

    private string Archive(params string[] names) => Archive([.. names.Select(
        name => new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(name)) })]);

    private string Archive(params TarEntry[] entries)
    {
        using (var file = File.Create(folder.At("archive.tgz")))
        using (var packed = new GZipStream(file, CompressionLevel.Fastest))
        using (var writer = new TarWriter(packed))
        {
            foreach (var entry in entries)
                writer.WriteEntry(entry);
        }

        return Convert.ToBase64String(SHA512.HashData(File.ReadAllBytes(folder.At("archive.tgz"))));
    }
}
