using System.Net;
using System.Security.Cryptography;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>Downloads files whole and checked, or not at all.</summary>
/// <param name="http">The requests.</param>
/// <param name="settings">How files are transferred.</param>
/// <param name="arrived">Receives the number of bytes that arrived; a negative number when bytes were discarded.</param>
internal sealed class FileTransfer(HubHttp http, TransferSettings settings, Action<long> arrived)
{
    /// <summary>
    /// Fetches a file, continuing from an earlier attempt. Content with another digest than announced is discarded and fetched once more.
    /// </summary>
    /// <param name="address">The address of its content.</param>
    /// <param name="file">The file.</param>
    /// <param name="incomplete">Its name until it is complete.</param>
    /// <param name="target">Its final name.</param>
    /// <param name="source">The repository's name in messages.</param>
    /// <param name="cancellation">Ends the work; bytes that have arrived are kept.</param>
    /// <exception cref="InputException">The content does not have the announced digest.</exception>
    /// <exception cref="PassingFault">The hub cannot be reached any more.</exception>
    public async Task FetchAsync(
        Uri address,
        HubFile file,
        string incomplete,
        string target,
        string source,
        CancellationToken cancellation)
    {
        for (var second = false; ; second = true)
        {
            await FillAsync(address, file, incomplete, cancellation);
            var found = await DigestAsync(incomplete, file, cancellation);
            if (found == file.Key)
            {
                PartialFile.Finish(incomplete, target);
                return;
            }
            PartialFile.Delete(incomplete);
            arrived(-file.Size);
            if (second)
            {
                throw new InputException($"'{file.Path}' of {source} was damaged in transfer, twice: its digest is {found}, {file.Key} was "
                    + "announced. Nothing of it was kept. Try again later; if it happens again, tell the owner of the repository.");
            }
        }
    }

    private async Task FillAsync(Uri address, HubFile file, string incomplete, CancellationToken cancellation)
    {
        try
        {
            using var part = PartialFile.Open(incomplete, file.Size, settings);
            await FillAsync(address, part, resumable: true, cancellation);
            return;
        }
        catch (NoRanges)
        {
            // The hub sends only whole files.
            arrived(-PartialFile.Arrived(incomplete, file.Size));
            PartialFile.Delete(incomplete);
        }
        using var whole = PartialFile.Open(incomplete, file.Size, settings with { Ranges = 1 });
        await FillAsync(address, whole, resumable: false, cancellation);
    }

    private async Task FillAsync(Uri address, PartialFile part, bool resumable, CancellationToken cancellation)
    {
        using var together = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var tasks = part.Ranges.Where(range => range.At < range.End).Select(range => RangeAsync(
            address,
            part,
            range,
            resumable,
            together)).ToList();
        try
        {
            await Task.WhenAll(tasks);
        }
        catch
        {
            cancellation.ThrowIfCancellationRequested();
            // The original fault is reported, not the cancellations that it caused.
            if (tasks.Select(task => task.Exception?.InnerException)
                .FirstOrDefault(fault => fault is not (null or OperationCanceledException)) is { } first)
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(first);
            throw;
        }
    }

    private async Task RangeAsync(
        Uri address,
        PartialFile part,
        FileRange range,
        bool resumable,
        CancellationTokenSource together)
    {
        var cancellation = together.Token;
        try
        {
            for (var failures = 0; range.At < range.End;)
            {
                var before = range.At;
                try
                {
                    await CopyAsync(address, part, range, cancellation);
                }
                catch (PassingFault fault)
                {
                    failures = range.At > before && resumable ? 1 : failures + 1;
                    if (!resumable)
                    {
                        arrived(-range.At);
                        range.At = 0;
                    }
                    if (failures >= settings.Attempts) throw;
                    await http.PauseAsync(failures, fault, cancellation);
                }
            }
        }
        catch
        {
            await together.CancelAsync();
            throw;
        }
    }

    private async Task CopyAsync(Uri address, PartialFile part, FileRange range, CancellationToken cancellation)
    {
        var everything = part.Whole && range.At == 0;
        using var response = await http.OpenAsync(
            HttpMethod.Get,
            address,
            everything ? null : (range.At, range.End - 1),
            stay: false,
            cancellation);
        if (!everything
            && (response.StatusCode != HttpStatusCode.PartialContent || response.Content.Headers.ContentRange?.From != range.At))
            throw new NoRanges();
        await foreach (var piece in http.PiecesAsync(response, address, cancellation))
        {
            // Bytes beyond the announced size are cut off here; the digest then shows the fault.
            var wanted = (int)Math.Min(piece.Length, range.End - range.At);
            await part.WriteAsync(range, piece[..wanted], cancellation);
            arrived(wanted);
            if (range.At == range.End) return;
        }
        if (range.At < range.End) throw new PassingFault($"{address.Host}: the connection ended {range.End - range.At:N0} bytes too early");
    }

    private static async Task<string> DigestAsync(string path, HubFile file, CancellationToken cancellation)
    {
        await using var stream = new FileStream(
            path,
            FileMode.Open,
            FileAccess.Read,
            FileShare.Read,
            1 << 20,
            useAsync: true);
        if (file.Sha256 is not null) return Convert.ToHexStringLower(await SHA256.HashDataAsync(stream, cancellation));
        if (file.BlobId is null) return "";
        // Git's digest of a file. SHA-1 is not secure, but it is what the hub announces.
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {stream.Length}\0"));
        var buffer = new byte[1 << 20];
        while (await stream.ReadAsync(buffer, cancellation) is > 0 and var count) hash.AppendData(buffer, 0, count);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private sealed class NoRanges : Exception;
}
